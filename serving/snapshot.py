"""The published snapshot: the one place where the desk reads customers, always through a person's grant."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from company.encryption import attach
from serving.access import SCHEMA, Grant, Question
from serving.answer_cache import Answer, AnswerCache, Statement

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

LOG = logging.getLogger("holdfast.snapshot")
_MEMORY = "1GB"
_WARMED = 50  # answers that a new publication is asked for before anybody waits for them
_LOOK_EVERY = 1.0  # seconds


class NothingPublishedError(Exception):
    """There is no snapshot yet; the message is one paragraph that names the file and the fix."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """One version of the file: which one, its connection, the columns of its relations with their types, answers."""

    version: tuple[int, int, int]
    connection: "duckdb.DuckDBPyConnection"
    types: Mapping[str, Mapping[str, str]]
    answers: AnswerCache = field(default_factory=AnswerCache)

    def answer(self, statement: Statement) -> Answer:
        """Return the answer to a statement, which holds as long as the version does."""
        known = self.answers.find(statement)
        if known is None:
            known = self._read(statement)
            self.answers.keep(statement, known)
        return known

    def _read(self, statement: Statement) -> Answer:
        begun = time.perf_counter()
        with self.connection.cursor() as cursor:
            found = cursor.execute(statement.query, statement.parameters)
            names = tuple(column[0] for column in found.description or ())
            return Answer(names=names, rows=tuple(found.fetchall()), seconds=time.perf_counter() - begun)


@dataclass(kw_only=True)
class Snapshot:
    """The file at `path`, for any number of threads.

    A file that was swapped in is opened at the next question, or aside while the snapshot is `followed`; a question
    that is under way keeps the version it began with, which goes when its last reader does.
    """

    path: Path
    key: str = field(default="", repr=False)
    _opened: _Opened | None = field(default=None, repr=False)
    _is_followed: bool = field(default=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, grant: Grant, question: Question) -> list[dict[str, Any]]:
        """Return the rows that answer a question, as far as the grant goes. Raises NothingPublishedError."""
        opened = self._current()
        if question.relation not in opened.types:  # this publication does not have it, asked by who might read it
            grant.confine(question.relation)
            return []
        return opened.answer(Statement.of(*grant.compile(question, opened.types))).as_dicts()

    def ask_columns(self, grant: Grant, question: Question) -> "dict[str, NDArray[Any]]":
        """Return the rows that answer a question as one array per column, of all customers at once.

        Raises NothingPublishedError.
        """
        opened = self._current()
        query, parameters = grant.compile(question, opened.types)
        with opened.connection.cursor() as cursor:
            found: dict[str, Any] = cursor.execute(query, parameters).fetchnumpy()
        return found

    def types(self, relation: str) -> Mapping[str, str]:
        """Return a relation's columns with their types; none for one that this publication does not have."""
        return self._current().types.get(relation, {})

    @property
    def version(self) -> str:
        """Which publication is read: a text that changes with every one. Raises NothingPublishedError."""
        return "-".join(f"{part:x}" for part in self._current().version)

    @contextmanager
    def followed(self, *, every: float = _LOOK_EVERY) -> Iterator[None]:
        """Look for a new publication every so many seconds of a block, and open it aside: nobody waits for it.

        It is taken once the costliest answers of the one before have been worked out anew.
        """
        is_over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(is_over, every), daemon=True, name="snapshot")
        self._is_followed = True
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            self._is_followed = False

    def _follow(self, is_over: threading.Event, every: float) -> None:
        while not is_over.is_set():
            try:
                with suppress(NothingPublishedError):
                    self._renew(is_aside=True)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, the one before is read on
                LOG.warning("%s cannot be opened: %s", self.path, type(error).__name__)  # its text may quote values
            is_over.wait(every)

    def _current(self) -> _Opened:
        opened = self._opened
        return opened if opened is not None and self._is_followed else self._renew()

    def _renew(self, *, is_aside: bool = False) -> _Opened:
        """Return the version that lies at the path now; `is_aside` where nobody waits for it."""
        opened, version = self._opened, self._version()
        if opened is None or opened.version != version:
            with self._lock:
                opened = self._opened
                if opened is None or opened.version != version:
                    new = _open(self.path, version, key=self.key)
                    if is_aside and opened is not None:
                        _warm(new, opened)
                    self._opened = opened = new
        return opened

    def _version(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise NothingPublishedError(
                f"{self.path}: nothing is published yet. Run the pipeline first: `holdfast run`."
            ) from None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _warm(new: _Opened, before: _Opened) -> None:
    """Ask a version what took longest of the one before it; an answer is shown to those alone who ask for it again."""
    import duckdb

    for statement in before.answers.list_costliest(_WARMED):
        with suppress(duckdb.Error):  # of a column that is gone, and that nobody will ask for
            new.answer(statement)


def _open(path: Path, version: tuple[int, int, int], *, key: str) -> _Opened:
    """Attach the file to a database in memory: one opened by its path would be shared with the version before it."""
    import duckdb

    # one thread: answers are small, and handing parts of them out costs more processor time than it saves
    connection = duckdb.connect(
        ":memory:", config={"late_materialization_max_rows": 1000, "memory_limit": _MEMORY, "threads": 1}
    )
    attach(connection, path, name=SCHEMA, key=key, is_read_only=True)
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    types: dict[str, dict[str, str]] = {}
    columns = "select table_name, column_name, data_type from duckdb_columns() where database_name = $name"
    for table, column, kind in connection.execute(f"{columns} order by column_index", {"name": SCHEMA}).fetchall():
        types.setdefault(table, {})[column] = kind
    return _Opened(version=version, connection=connection, types=types)
