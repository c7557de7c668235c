"""Writes that nobody waits for: who looked at whom, and when a session or a key was last used.

While a night writes to the operational store, which has one writer at a time, a page would wait for it. So what has
gathered in a moment is written together, by one thread.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Executable
from sqlalchemy.exc import SQLAlchemyError

from retention.store.database import Database
from serving.audit import Entry, add_entries

LOG = logging.getLogger("holdfast.write_behind")
_EVERY = 0.25  # seconds
_MOST_WAITING = 2_000


class WriteBehind:
    """What waits to be written; outside of `running` nothing waits.

    Nothing is dropped: what could not be written is tried again with what came since. Once too much waits, whoever adds
    to it waits for the writing, and fails with it: nobody looks at customers for long while it cannot be recorded.
    """

    def __init__(self, database: Database) -> None:
        """Write to `database`."""
        self._database = database
        self._is_running = False
        self._entries: list[Entry] = []
        self._statements: list[Executable] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add_entry(self, entry: Entry) -> None:
        """Write an entry to the audit log soon."""
        with self._lock:
            self._entries.append(entry)
            is_due = not self._is_running or len(self._entries) > _MOST_WAITING
        if is_due:
            self.flush()

    def execute(self, statement: Executable) -> None:
        """Execute a statement soon."""
        with self._lock:
            self._statements.append(statement)
        if not self._is_running:
            self.flush()

    def flush(self) -> None:
        """Write what waits, now. Raises SQLAlchemyError, and all of it waits on."""
        with self._writing:
            with self._lock:
                entries, self._entries = self._entries, []
                statements, self._statements = self._statements, []
            try:
                self._write(entries, statements)
            except BaseException:
                with self._lock:
                    self._entries, self._statements = entries + self._entries, statements + self._statements
                raise

    @contextmanager
    def running(self, *, every: float | None = None) -> Iterator[None]:
        """Write every so many seconds of a block, a quarter by default, and at its end what is left."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._run, args=(is_over, every or _EVERY), daemon=True, name="write behind")
        self._is_running = True
        thread.start()
        try:
            yield
        finally:
            self._is_running = False
            is_over.set()
            thread.join()
            self.flush()

    def _run(self, is_over: threading.Event, every: float) -> None:
        while not is_over.wait(every):
            try:
                self.flush()
            except SQLAlchemyError as error:
                LOG.warning("the audit log cannot be written, and is tried again: %s", type(error).__name__)

    def _write(self, entries: list[Entry], statements: list[Executable]) -> None:
        if entries or statements:
            with self._database.write() as connection:
                add_entries(connection, entries)
                for statement in statements:
                    connection.execute(statement)
