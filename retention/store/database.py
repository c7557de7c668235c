"""Opening the operational database: SQLite by default, PostgreSQL by its URL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

_DISPATCH_LOCK = 7305461
_MIGRATION_LOCK = 7305462
_BUSY_SECONDS = 30
_PAUSE_SECONDS = 0.05
_LOCK_WAIT = "10s"


class StoreBusyError(Exception):
    """Another process is doing the same; the message is one paragraph with the fix."""


def open_engine(url: str) -> Engine:
    """Return an engine for `url`; a SQLite file's folder is made, and its writers queue instead of failing."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    connection.isolation_level = None  # the driver would otherwise begin and commit on its own around statements
    _write_ahead(connection)
    for pragma in ("synchronous=full", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}")


def _write_ahead(connection: Any) -> None:  # noqa: ANN401 - the driver's own connection
    """Switch to the write-ahead log: SQLite does not wait its timeout while another process makes the same switch."""
    tries = round(_BUSY_SECONDS / _PAUSE_SECONDS)
    for attempt in range(1, tries + 1):
        try:
            connection.execute("pragma journal_mode=wal")
        except sqlite3.OperationalError:
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


@contextmanager
def exclusive_dispatch(engine: Engine) -> Iterator[None]:
    """Hold the one right to send; it ends with the process, however that ends.

    Raises StoreBusyError when another process holds it.
    """
    lock = _postgres_lock if engine.dialect.name == "postgresql" else _file_lock
    with lock(engine):
        yield


@contextmanager
def _postgres_lock(engine: Engine) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # a killed sender's session is given a moment to notice that it is alone
        connection.execute(text(f"set lock_timeout = '{_LOCK_WAIT}'"))
        try:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _DISPATCH_LOCK})
        except OperationalError as error:
            raise StoreBusyError(_busy()) from error
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _DISPATCH_LOCK})
            connection.execute(text("reset lock_timeout"))


@contextmanager
def _file_lock(engine: Engine) -> Iterator[None]:
    import fcntl

    if not engine.url.database:
        yield
        return
    with Path(f"{engine.url.database}.sending").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusyError(_busy()) from error
        yield


def _busy() -> str:
    return "Another process is sending from this store; wait until it has finished, then send again."
