"""The log of events: append-only, in order, acknowledged only when durable; read from a position on."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from company.contract import EVENTS, ColumnType
from company.encryption import sqlite_driver, unlock

COLUMNS = tuple(column for column in EVENTS.columns if not column.personal)
FIELDS = tuple(column.name for column in COLUMNS)
POSITION = "position"  # the column by which a feed lands the log
_KINDS = {ColumnType.MOMENT: "integer", ColumnType.FLAG: "integer", ColumnType.NUMBER: "real"}
_BUSY_SECONDS = 30
_TABLE = f"""
create table if not exists events (
    position integer primary key autoincrement,
    {", ".join(f"{c.name} {_KINDS.get(c.type, 'text')}{' not null' * c.is_required}" for c in COLUMNS)},
    received_at integer not null,
    unique (event_id)
)
"""
_COPIED = "create table if not exists copied (log text primary key, first integer not null, upto integer not null)"
_ALL = (POSITION, *FIELDS, "received_at")
_ADD = f"insert or ignore into events ({', '.join(_ALL)}) values ({', '.join('?' * len(_ALL))})"
_READ = """
select position, customer_id, occurred_at, type, page, received_at
from events where position > ? and coalesce(is_test, 0) = 0 order by position limit ?
"""

_REMOVE = """
delete from events where position in (
    select position from events where position <= ? and received_at < ? order by position limit ?
)
"""
_SLICE = 10_000

Row = tuple[str | int | float | bool | None, ...]


class Copied(NamedTuple):
    """Which log a file is a copy of, and the positions of that log from which and up to which it is copied."""

    log: str
    first: int
    upto: int


class Read(NamedTuple):
    """What the lane reads of an event; moments are milliseconds since 1970, UTC."""

    position: int
    customer_id: str
    occurred_at: int
    type: str | None
    page: str | None
    received_at: int


class LogReplacedError(Exception):
    """The log is another than the one whose events had their effect, or lost some; the message names the fix."""


class LogAwayError(Exception):
    """The log is out of reach for a while; what was not acknowledged may be sent again."""


class Log(Protocol):
    """Events in the order in which they became durable. One process appends, any number read."""

    def append(self, rows: Sequence[Row], *, received_at: int) -> None:
        """Add events whose id is new, values in the order of `FIELDS`; return once they are durable."""

    def read(self, *, after: int, limit: int) -> Sequence[Read]:
        """Return the next events behind a position, at most `limit`; what testers of the company did is left out.

        Raises LogReplacedError when events behind the position are gone, LogAwayError when the log is out of reach.
        """

    def last(self) -> int:
        """Return the position of the newest event, 0 when there is none."""

    def issued(self) -> int:
        """Return the greatest position that was ever given, also when its event was trimmed or erased since."""

    def trim(self, *, before: int, upto: int) -> int:
        """Remove events received before a moment (ms) up to a position; return how many."""

    def close(self) -> None:
        """Let go of the log."""


class SqliteLog:
    """A SQLite file with a write-ahead log that reaches the disk with every commit."""

    def __init__(self, path: Path, *, key: str = "") -> None:
        """Open the log in a file, which is made when it is not there, encrypted where there is a key."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite_driver(key=key).connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        unlock(self._connection, path, key=key)
        for pragma in ("journal_mode=wal", "synchronous=full", "journal_size_limit=67108864"):
            self._connection.execute(f"pragma {pragma}")
        for table in (_TABLE, _COPIED):
            self._connection.execute(table)

    def append(self, rows: Sequence[Row], *, received_at: int) -> None:
        """Add events in one transaction."""
        with self._write():
            self._connection.executemany(_ADD, ((None, *row, received_at) for row in rows))

    def copy(self, rows: Iterable[tuple[int, Row, int]], copied: Copied) -> None:
        """Add events of another log as (position, event, moment of receipt), and how far it is copied with them."""
        with self._write():
            self._connection.executemany(_ADD, ((position, *row, received) for position, row, received in rows))
            self._connection.execute("insert or replace into copied values (?, ?, ?)", copied)

    def read_copied(self) -> Copied | None:
        """Return how far another log is copied, None before any was."""
        row = self._connection.execute("select * from copied").fetchone()
        return None if row is None else Copied(*row)

    def read(self, *, after: int, limit: int) -> Sequence[Read]:
        """Return the next events behind a position."""
        return [Read(*row) for row in self._connection.execute(_READ, (after, limit)).fetchall()]

    def last(self) -> int:
        """Return the position of the newest event."""
        with closing(self._connection.execute("select max(position) from events")) as cursor:
            return int(cursor.fetchone()[0] or 0)

    def issued(self) -> int:
        """Return the greatest position that was ever given."""
        with closing(self._connection.execute("select max(seq) from sqlite_sequence where name = 'events'")) as cursor:
            return int(cursor.fetchone()[0] or 0)

    def trim(self, *, before: int, upto: int) -> int:
        """Remove old events, some at a time, so that no append waits for long; no position is given twice."""
        removed = 0
        while (count := self._connection.execute(_REMOVE, (upto, before, _SLICE)).rowcount) > 0:
            removed += count
        return removed

    @contextmanager
    def _write(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
            self._connection.execute("commit")
        except BaseException:
            self._connection.execute("rollback")
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def log_file(home: Path) -> Path:
    """Return the file of the log of the instance at `home`."""
    return home / "lane" / "events.db"
