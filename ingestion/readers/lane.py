"""The event lane's log: what the collector took, as rows of the canonical table `events`."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from company.company_file import Feed
from company.contract import EVENTS, ColumnType
from company.encryption import read_key, sqlite_driver, unlock
from company.file_faults import Fault
from ingestion.readers.base import Context, Reader, ReaderSettings
from ingestion.readers.extract import Extract, Request, described
from ingestion.readers.sql import copy_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_INTO = "landing_source"
_POSITION = "position"
_BATCH_ROWS = 100_000
_READ = "select * from events where position >= ? order by position limit ?"


class Settings(ReaderSettings):
    """The log of the event lane, `lane/events.db` in the instance's folder; a relative path starts at the company file.

    Its feed fills `events` with `from: events` and `incremental: position`.
    """

    reader: Literal["lane"]
    log: str

    def find_fault(self, feed: Feed) -> Fault | None:
        """Return what is wrong with a feed that reads something else, or the log from its start each time."""
        if feed.relation != "events":
            return Fault(key="from", problem="the log has only `events`.", fix="Write `from: events`.")
        if feed.incremental != _POSITION:
            problem = "the log forgets old events, so that it is read on from the last position."
            return Fault(key="incremental", problem=problem, fix="Write `incremental: position`.")
        return None

    def open(self, context: Context) -> Reader:
        """Return the reader of the log."""
        return LaneReader(settings=self, context=context)


@dataclass(frozen=True, kw_only=True)
class LaneReader(Reader):
    """Reads events from a position on, while the collector appends."""

    settings: Settings
    context: Context

    def extract(self, connection: duckdb.DuckDBPyConnection, asked: Request) -> Extract:
        """Copy the events behind the cursor into a temporary table and return it; raises SourceError without a log."""
        path = self.context.company.path.parent / Path(self.settings.log).expanduser()
        if not path.is_file():
            fix = "Start the lane once (`holdfast lane`), or correct the path."
            raise self.context.error(
                f"{self.context.source_key}.log", f"there is no log at `{self.settings.log}`.", fix
            )
        copy_batches(
            connection,
            _read(path, key=read_key(self.context.secrets), since=int(asked.since or 0), most=asked.most),
            into=_INTO,
        )
        row = connection.execute(f"select max({_POSITION})::varchar from temp.{_INTO}").fetchone()
        return Extract(
            relation=f"temp.{_INTO}",
            columns=described(connection, f"select * from temp.{_INTO}"),
            is_ordered=True,
            cursor=(row[0] if row else None) or asked.since,
        )


def _read(path: Path, *, key: str, since: int, most: int | None) -> "Iterator[pa.Table]":
    """Yield events in batches, the first one even when it is empty: it has the columns."""
    with closing(sqlite_driver(key=key).connect(f"file:{path}?mode=ro", uri=True)) as log:
        unlock(log, path, key=key)
        is_first = True
        while True:
            cursor = log.execute(_READ, (since, most or _BATCH_ROWS))
            names, rows = [column[0] for column in cursor.description], cursor.fetchall()
            if rows or is_first:
                yield _make_table(names, rows)
            if most or len(rows) < _BATCH_ROWS:
                return
            is_first, since = False, rows[-1][0] + 1


def _make_table(names: list[str], rows: list[tuple[Any, ...]]) -> "pa.Table":
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.table({name: _make_array(name, list(values)) for name, values in zip(names, columns, strict=True)})


def _make_array(name: str, values: list[Any]) -> "pa.Array":
    """Return a column in the contract's type; SQLite has neither moments, here milliseconds since 1970, nor flags."""
    import pyarrow as pa

    match _TYPES.get(name):
        case ColumnType.MOMENT:
            return pa.array(values, pa.int64()).cast(pa.timestamp("ms"))
        case ColumnType.FLAG:
            return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
        case ColumnType.NUMBER:
            return pa.array(values, pa.float64())
        case ColumnType.TEXT:
            return pa.array(values, pa.string())
    return pa.array(values, pa.int64())


_TYPES = {column.name: column.type for column in EVENTS.columns} | {"received_at": ColumnType.MOMENT}
