"""Opening the operational database: SQLite by default, PostgreSQL by its URL."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Select, Table, create_engine, event, func, insert, select, text
from sqlalchemy.engine import make_url

from company.encryption import sqlite_driver, unlock

if TYPE_CHECKING:
    import pandas as pd

_CLAIM_LOCK = 7305461
_MIGRATION_LOCK = 7305462
_BUSY_SECONDS = 30
_PAUSE_SECONDS = 0.05
_CHUNK = 20_000


class Database:
    """One engine with its two kinds of transaction: writers queue, readers never wait for one."""

    def __init__(self, url: str, *, key: str = "") -> None:
        """Open the database at `url`: `sqlite:///path`, encrypted where there is a `key`, or `postgresql://..`."""
        self.engine = open_engine(url, key=key)
        self._reading = self.engine.execution_options(is_reading=True)

    def write(self) -> AbstractContextManager[Connection]:
        """Return a transaction that commits at its end and rolls back on an error."""
        return self.engine.begin()

    def read(self) -> AbstractContextManager[Connection]:
        """Return a connection that only reads."""
        return self._reading.connect()

    def read_frame(self, query: Select[Any]) -> "pd.DataFrame":
        """Return what a query selects as a data frame."""
        import pandas as pd

        with self.read() as connection:
            return pd.read_sql(query, connection)

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()


def insert_frame(connection: Connection, table: Table, rows: "pd.DataFrame") -> None:
    """Insert the rows of a data frame, missing values as null."""
    for records in _records(rows):
        connection.execute(insert(table), records)


def _records(rows: "pd.DataFrame") -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), _CHUNK):
        part = rows.iloc[start : start + _CHUNK]
        columns = [_as_list(part[name]) for name in part]
        names = [str(name) for name in part]
        yield [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _as_list(column: "pd.Series[Any]") -> list[Any]:
    pairs = zip(column.tolist(), column.isna().tolist(), strict=True)
    return [None if is_missing else value for value, is_missing in pairs]


def next_number(connection: Connection, table: Table) -> int:
    """Return the number after the highest in the column `number`; a writing transaction makes it unique."""
    return int(connection.scalar(select(func.coalesce(func.max(table.c.number), 0))) or 0) + 1


def digest(*parts: str) -> str:
    """Return 32 hexadecimal digits made from `parts`: an id that is the same for the same content."""
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def open_engine(url: str, *, key: str = "") -> Engine:
    """Return an engine for `url`; a SQLite file's folder is made, and its writers queue instead of failing."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, module=sqlite_driver(key=key), connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", partial(_prepare_sqlite, path=Path(address.database or ""), key=key))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object, *, path: Path, key: str) -> None:  # noqa: ANN401 - the driver's own
    connection.isolation_level = None  # the driver would otherwise begin and commit on its own around statements
    unlock(connection, path, key=key)
    _write_ahead(connection, busy=sqlite_driver(key=key).OperationalError)
    for pragma in ("synchronous=full", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}")


def _write_ahead(connection: Any, *, busy: type[Exception]) -> None:  # noqa: ANN401 - the driver's own connection
    """Switch to the write-ahead log: SQLite does not wait its timeout while another process makes the same switch."""
    tries = round(_BUSY_SECONDS / _PAUSE_SECONDS)
    for attempt in range(1, tries + 1):
        try:
            connection.execute("pragma journal_mode=wal")
        except busy:
            if attempt == tries:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get("is_reading", False)
    connection.exec_driver_sql("begin" if is_reading else "begin immediate")


def lock_for_migration(connection: Connection) -> None:
    """Let only one process migrate at a time; SQLite's write transaction is such a lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def lock_claims(connection: Connection) -> None:
    """Let only one process claim messages at a time; SQLite's write transaction is such a lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _CLAIM_LOCK})


@contextmanager
def presence(engine: Engine, name: str) -> Iterator[None]:
    """Show for a block that whoever is called `name` is at work; it ends with the process, however that ends."""
    hold = _postgres_presence if engine.dialect.name == "postgresql" else _file_presence
    with hold(engine, name):
        yield


def is_gone(engine: Engine, name: str) -> bool:
    """Tell whether whoever was called `name` is at work no more."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            free = connection.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": _number(name)})
            return bool(free)
    try:
        with _presence_file(engine, name).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    _presence_file(engine, name).unlink(missing_ok=True)
    return True


@contextmanager
def _postgres_presence(engine: Engine, name: str) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _number(name)})
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _number(name)})


@contextmanager
def _file_presence(engine: Engine, name: str) -> Iterator[None]:
    path = _presence_file(engine, name)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _presence_file(engine: Engine, name: str) -> Path:
    return Path(f"{engine.url.database}.{name}.sending")


def _number(name: str) -> int:
    return int(sha256(name.encode()).hexdigest()[:15], 16)
