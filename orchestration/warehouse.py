"""The warehouse: tables on one of the engines, opened only for the length of a `with`, and their published copy."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from company.encryption import attach
from ingestion.transaction import transaction
from orchestration.engines import Engine

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

LINGER_SECONDS = 1.0  # shorter than anybody's patience


@dataclass(frozen=True, kw_only=True)
class Warehouse:
    """Opens the `engine` that keeps the tables.

    dbt runs in a process of its own and a DuckDB file lets one process in at a time, so nobody keeps a connection
    across a dbt call.
    """

    engine: Engine

    def release(self) -> None:
        """Let other processes, and other ways of opening the file, in at once."""

    def _close(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.close()

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that closes when the block ends."""
        connection = self.engine.open()
        try:
            connection.execute("set timezone = 'UTC'")
            yield connection
        finally:
            self._close(connection)

    @contextmanager
    def connect_alone(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield the only connection of this process: what it sets for the whole database ends with it."""
        self.release()
        try:
            with self.connect() as connection:
                yield connection
        finally:
            self.release()

    def read(self, query: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Return the answer to `query` as an Arrow table."""
        with self.connect() as connection:
            return connection.execute(query, dict(parameters or {})).to_arrow_table()

    def read_value(self, query: str, parameters: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - a cell
        """Return the first cell of the answer, None when there is no row."""
        with self.connect() as connection:
            row = connection.execute(query, dict(parameters or {})).fetchone()
            return row[0] if row else None

    def has_table(self, table: str) -> bool:
        """Return whether `schema.table` exists."""
        with self.connect() as connection:
            return _exists(connection, table)

    def latest_day(self, table: str) -> date | None:
        """Return the latest `as_of` of `schema.table`, None without a warehouse, the table, or a row."""
        if not (self.engine.exists() and self.has_table(table)):
            return None
        found: date | None = self.read_value(f"select max(as_of) from {table}")
        return found

    def replace_day(self, table: str, rows: pa.Table, *, as_of: date) -> None:
        """Make `rows` all that `table` holds for `as_of`, in one transaction."""
        with self.connect() as connection, transaction(connection):
            _create_like(connection, table, rows)
            connection.execute(f"delete from {table} where as_of = $as_of", {"as_of": as_of})
            _insert(connection, table, rows)

    def replace_rows(self, table: str, rows: pa.Table, *, key: str) -> None:
        """Put `rows` in the place of those of `table` that have the same `key`, in one transaction."""
        with self.connect() as connection, transaction(connection):
            _create_like(connection, table, rows)
            connection.execute(f"delete from {table} where {key} in (select {key} from incoming)")
            _insert(connection, table, rows)

    def replace(self, table: str, rows: pa.Table) -> None:
        """Make `rows` the whole content of `table`, in one transaction."""
        with self.connect() as connection, transaction(connection):
            connection.execute(f"create schema if not exists {table.split('.', maxsplit=1)[0]}")
            connection.register("incoming", rows)
            connection.execute(f"create or replace table {table} as select * from incoming")

    def append(self, tables: "Mapping[str, pa.Table | Dataset]") -> None:
        """Append to several tables in one transaction: all of it or nothing."""
        with self.connect() as connection, transaction(connection):
            for table, rows in tables.items():
                _create_like(connection, table, rows)
                _insert(connection, table, rows)

    def publish(
        self,
        target: Path,
        tables: Mapping[str, str | pa.Table],
        *,
        indexed: Mapping[str, str] | None = None,
        is_update: bool = False,
    ) -> None:
        """Write rows, or the answer to a query, as each table of a new file, and put it in the place of `target`.

        `indexed` names by table the column by which single rows are looked up. An update keeps the other tables.

        Whoever still reads the file before keeps it until they close it; nobody ever sees half of one.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.new")
        fresh.unlink(missing_ok=True)
        if is_update:
            shutil.copyfile(target, fresh)
        with self.connect() as connection:
            attach(connection, fresh, name="snapshot", key=self.engine.key)
            for table, content in tables.items():
                if isinstance(content, pa.Table):
                    connection.register("incoming", content)
                query = content if isinstance(content, str) else "select * from incoming"
                connection.execute(f"create or replace table snapshot.{table} as {query}")
            for table, column in (indexed or {}).items():
                connection.execute(f"create index {table}_by_{column} on snapshot.{table}({column})")
            connection.execute("detach snapshot")
        os.replace(fresh, target)  # noqa: PTH105 - atomic, also over a file that is being read


class _LastConnection:
    """The connection that was used last, which is closed when no other takes its place for a while, or when asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._timer = threading.Timer(0, self.close)

    def replace(self, connection: duckdb.DuckDBPyConnection) -> None:
        with self._lock:
            self._drop()
            self._connection = connection
            self._timer = threading.Timer(LINGER_SECONDS, self._expire, [connection])
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _expire(self, connection: duckdb.DuckDBPyConnection) -> None:
        with self._lock:
            if self._connection is connection:
                self._drop()

    def _drop(self) -> None:
        self._timer.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass(frozen=True, kw_only=True)
class LingeringWarehouse(Warehouse):
    """The warehouse for many short uses in a row: the file stays open for a second after each.

    Opening the file reads its catalogue, which takes longer than most questions; while one connection to it is open,
    another costs next to nothing.
    """

    _last: _LastConnection = field(default_factory=_LastConnection, repr=False, compare=False)

    def release(self) -> None:
        """Let other processes, and other ways of opening the file, in at once."""
        self._last.close()

    def _close(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._last.replace(connection)


def _exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    schema, name = table.split(".")
    found = connection.execute(
        "select count(*) from information_schema.tables where table_catalog = current_database() "
        "and table_schema = ? and table_name = ?",
        [schema, name],
    ).fetchone()
    return bool(found and found[0])


def _create_like(connection: duckdb.DuckDBPyConnection, table: str, rows: "pa.Table | Dataset") -> None:
    connection.execute(f"create schema if not exists {table.split('.', maxsplit=1)[0]}")
    connection.register("incoming", rows)
    connection.execute(f"create table if not exists {table} as select * from incoming limit 0")
    # a later release may tell more of a row; what an earlier one did not tell stays unknown
    held = {row[0] for row in connection.execute(f"describe {table}").fetchall()}
    for name, kind, *_ in connection.execute("describe incoming").fetchall():
        if name not in held:
            connection.execute(f"alter table {table} add column {name} {kind}")


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: "pa.Table | Dataset") -> None:
    connection.register("incoming", rows)
    connection.execute(f"insert into {table} by name select * from incoming")
