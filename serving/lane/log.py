"""The log of events: append-only, in order, acknowledged only when durable; read from a position on."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

from company.contract import EVENTS, ColumnType

COLUMNS = tuple(column for column in EVENTS.columns if not column.personal)
FIELDS = tuple(column.name for column in COLUMNS)
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
_ADD = f"insert or ignore into events ({', '.join(FIELDS)}, received_at) values ({', '.join('?' * (len(FIELDS) + 1))})"
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


class Read(NamedTuple):
    """What the lane reads of an event; moments are milliseconds since 1970, UTC."""

    position: int
    customer_id: str
    occurred_at: int
    type: str | None
    page: str | None
    received_at: int


class Log(Protocol):
    """Events in the order in which they became durable. One process appends, any number read."""

    def append(self, rows: Sequence[Row], *, received_at: int) -> int:
        """Add events whose id is new, values in the order of `FIELDS`; return how many, once they are durable."""

    def read(self, *, after: int, limit: int) -> Sequence[Read]:
        """Return the next events behind a position, at most `limit`; what testers of the company did is left out."""

    def last(self) -> int:
        """Return the position of the newest event, 0 when there is none."""

    def trim(self, *, before: int, upto: int) -> int:
        """Remove events received before a moment (ms) up to a position; return how many."""

    def close(self) -> None:
        """Let go of the log."""


class SqliteLog:
    """A SQLite file with a write-ahead log that reaches the disk with every commit."""

    def __init__(self, path: Path) -> None:
        """Open the log in a file, which is made when it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=wal", "synchronous=full", "journal_size_limit=67108864"):
            self._connection.execute(f"pragma {pragma}")
        self._connection.execute(_TABLE)

    def append(self, rows: Sequence[Row], *, received_at: int) -> int:
        """Add events in one transaction."""
        self._connection.execute("begin immediate")
        try:
            before = self._connection.total_changes
            self._connection.executemany(_ADD, ((*row, received_at) for row in rows))
            added = self._connection.total_changes - before
            self._connection.execute("commit")
        except BaseException:
            self._connection.execute("rollback")
            raise
        return added

    def read(self, *, after: int, limit: int) -> Sequence[Read]:
        """Return the next events behind a position."""
        return [Read(*row) for row in self._connection.execute(_READ, (after, limit)).fetchall()]

    def last(self) -> int:
        """Return the position of the newest event."""
        with closing(self._connection.execute("select max(position) from events")) as cursor:
            return int(cursor.fetchone()[0] or 0)

    def trim(self, *, before: int, upto: int) -> int:
        """Remove old events, some at a time, so that no append waits for long; no position is given twice."""
        removed = 0
        while (count := self._connection.execute(_REMOVE, (upto, before, _SLICE)).rowcount) > 0:
            removed += count
        return removed

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def log_file(home: Path) -> Path:
    """Return the file of the log of the instance at `home`."""
    return home / "lane" / "events.db"
