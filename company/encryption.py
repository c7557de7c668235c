"""Encryption at rest: DuckDB and SQLite files under one key of the environment, opened alike with and without one.

DuckDB takes a key only where a file is attached, so an encrypted file is opened as the database of one in memory, which
all connections of a process share by its name. SQLite files are encrypted by SQLCipher, page by page.
"""

import hmac
import sqlite3
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import duckdb

KEY_NAME = "HOLDFAST_ENCRYPTION_KEY"
_FAULTS = {  # what DuckDB reports, what it means, and what to do
    "Wrong encryption key": (
        f"the key in {KEY_NAME} is not the one this file was encrypted with. Set that key; nothing can be read without "
        "it. Where it is lost, move the file away, and the next run builds what the sources still hold."
    ),
    "without a key": (
        f"this file is encrypted, and {KEY_NAME} is not set. Set it to the key the file was written with, in the "
        "environment of every process of this instance."
    ),
    "is not encrypted": (
        f"{KEY_NAME} is set, and this file was written without encryption. Unset it, run `holdfast encryption rotate` "
        "with the key in HOLDFAST_NEW_ENCRYPTION_KEY, which writes the instance's files anew, and set it again."
    ),
}


_SQLITE_FAULT = (
    f"the key in {KEY_NAME} is not the one this file was encrypted with, or the file is in clear. Set the key it was "
    "written with; where there was none, unset it and run `holdfast encryption rotate` with the key in "
    "HOLDFAST_NEW_ENCRYPTION_KEY. This file cannot be built again: where its key is lost, restore a backup."
)


def read_key(environment: Mapping[str, str]) -> str:
    """Return the key that an environment names; empty where nothing is encrypted."""
    return environment.get(KEY_NAME, "")


class EncryptionError(Exception):
    """A file and the key do not fit; the message is one paragraph that names both and the fix."""


class Connection(Protocol):
    """A connection of DuckDB, or a cursor of another library's to one."""

    def execute(self, query: str, /) -> Any:  # noqa: ANN401 - each library's own
        """Run statements."""

    def fetchone(self) -> Any:  # noqa: ANN401 - a row
        """Return the next row of the last answer."""


def open_file(
    path: Path, *, key: str, is_read_only: bool = False, config: Mapping[str, Any] | None = None
) -> "duckdb.DuckDBPyConnection":
    """Return a connection to a DuckDB file. Raises EncryptionError where the file and the key do not fit."""
    import duckdb

    try:
        connection = duckdb.connect(
            address(path, key=key), read_only=is_read_only and not key, config={**(config or {})}
        )
    except duckdb.CatalogException as error:
        raise explain(error, path) or error from None
    try:
        enter(connection, path, key=key, is_read_only=is_read_only)
    except Exception:
        connection.close()
        raise
    return connection


def address(path: Path, *, key: str) -> str:
    """Return what a connection to the file at `path` is opened with, before `enter`."""
    return f":memory:{path}" if key else str(path)


def enter(connection: Connection, path: Path, *, key: str, is_read_only: bool = False) -> None:
    """Make the file at `path` what a connection opened with its `address` works on. Raises EncryptionError."""
    if not key:
        return
    attach(connection, path, name=path.stem, key=key, is_read_only=is_read_only)
    connection.execute(f"use {_quote(path.stem)}")


def attach(connection: Connection, path: Path, *, name: str, key: str, is_read_only: bool = False) -> None:
    """Attach the file at `path` as `name`, encrypted where there is a key. Raises EncryptionError."""
    if key:
        load(connection, spill=path.with_name(f"{path.name}.tmp"))
    options = [*([f"encryption_key {_text(key)}"] if key else []), *(["read_only"] if is_read_only else [])]
    listed = f" ({', '.join(options)})" if options else ""
    try:
        connection.execute(f"attach if not exists {_text(str(path))} as {_quote(name)}{listed}")
    except Exception as error:  # noqa: BLE001 - DuckDB's, or another library's around it; raised on
        raise explain(error, path) or error from None


def load(connection: Connection, *, spill: Path) -> None:
    """Give a connection what DuckDB needs to write encrypted files; what it spills to disk is encrypted, too."""
    extension = next(iter(Path(str(files("duckdb_extension_httpfs"))).rglob("httpfs.duckdb_extension")))
    connection.execute(f"load {_text(str(extension))}")
    connection.execute("select current_setting('temp_file_encryption')")
    if not connection.fetchone()[0]:  # a process sets it once, before anything was spilled
        connection.execute("set temp_file_encryption = true")
        connection.execute(f"set temp_directory = {_text(str(spill))}")


def explain(error: Exception, path: Path) -> EncryptionError | None:
    """Return in words of ours that a file and the key do not fit, None where something else is wrong."""
    return next((EncryptionError(f"{path}: {fault}") for text, fault in _FAULTS.items() if text in str(error)), None)


def sqlite_driver(*, key: str) -> Any:  # noqa: ANN401 - either of two modules of one shape
    """Return the module that opens SQLite files: Python's own, or SQLCipher's where there is a key."""
    if not key:
        return sqlite3
    from sqlcipher3 import dbapi2

    return dbapi2


def unlock(connection: Any, path: Path, *, key: str) -> None:  # noqa: ANN401 - a connection of either driver
    """Let a connection to a SQLite file read it, as the first thing it does. Raises EncryptionError."""
    if key:
        connection.execute("pragma cipher_log_level = none").close()
        connection.execute(f"pragma key = {sqlite_key(key)}").close()
    try:
        connection.execute("select count(*) from sqlite_master").fetchall()
    except sqlite_driver(key=key).DatabaseError as error:
        if "not a database" not in str(error):
            raise
        raise EncryptionError(f"{path}: {_SQLITE_FAULT if key else _FAULTS['without a key']}") from None


def sqlite_key(key: str) -> str:
    """Return the raw key of SQLite files, derived from the environment's, as SQLCipher's statements take it."""
    return f"\"x'{hmac.new(key.encode(), b'sqlite', 'sha256').hexdigest()}'\"" if key else "''"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
