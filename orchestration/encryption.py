"""The key of an instance's files: checked before anything runs, and changed."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
from sqlalchemy.engine import make_url

from company.company_file import Company
from company.encryption import KEY_NAME, EncryptionError, attach, open_file, sqlite_driver, sqlite_key, unlock
from company.sealed_file import ENDING, is_sealed, read_file, seal
from ingestion.keyring import find_weakness
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.published import published_in
from orchestration.settings import Settings
from privacy.files import put_in_place
from retention.acting.channels.gateway import INBOX
from serving.lane.log import log_file

_HOW = "such as `openssl rand -base64 32` makes"


def check_key(settings: Settings, company: Company) -> None:
    """Raise EncryptionError where the key is missing although required, is easy to guess, or does not fit the files."""
    key = settings.encryption_key
    if not key and company.encryption == "required":
        raise EncryptionError(
            f"{company.path}: `encryption` is `required`, and {KEY_NAME} is not set. Set it to a long random text, "
            f"{_HOW}, and keep a copy elsewhere: without it the files cannot be read. To go without, write `optional`."
        )
    if key:
        refuse_weak(KEY_NAME, key)
    for path in list_files(settings):
        check_fit(path, key=key)


def refuse_weak(name: str, key: str) -> None:
    """Raise EncryptionError where a key is easy to guess."""
    if weakness := find_weakness(key):
        raise EncryptionError(f"`{name}` {weakness}: take a random one, {_HOW}.")


def list_files(settings: Settings) -> list[Path]:
    """Return the files of an instance that are encrypted under its key and are there."""
    operational = make_url(settings.operational_url)
    databases = [Path(operational.database)] if operational.drivername == "sqlite" and operational.database else []
    databases += [settings.outbox_folder / INBOX, log_file(settings.home)]
    warehouses = [settings.warehouse_file, published_in(settings.home).path]
    return [path for path in (*warehouses, *databases) if path.exists()]


def check_fit(path: Path, *, key: str) -> None:
    """Raise EncryptionError where a file and the key do not fit; a file that another process writes passes."""
    if _is_sqlite(path):
        with closing(sqlite_driver(key=key).connect(path)) as connection:
            unlock(connection, path, key=key)
        return
    try:
        open_file(path, key=key, is_read_only=True).close()
    except duckdb.IOException:
        return


def _is_sqlite(path: Path) -> bool:
    return path.suffix == ".db"


def rotate(settings: Settings, *, to: str) -> Iterator[Path]:
    """Write each file of the instance anew under the key `to`, empty for none; yield those that were.

    A file in clear is taken as it is, and one that has the key already, as a killed rotation leaves it, is passed over.
    """
    if to:
        refuse_weak("the new key", to)
    for path in list_files(settings):
        if not _fits(path, key=to):
            _write_under(path, key="" if _fits(path, key="") else settings.encryption_key, to=to)
            yield path
    yield from _seal_anew(settings, to=to)


def open_sealed(source: Path, folder: Path, *, key: str) -> list[Path]:
    """Write what is sealed in a file, or in those of a folder, into a new folder in clear; return the files."""
    paths = [source] if source.is_file() else sorted(path for path in source.iterdir() if path.is_file())
    contents = {path.name.removesuffix(ENDING): read_file(path, key=key) for path in paths}
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def _seal_anew(settings: Settings, *, to: str) -> Iterator[Path]:
    """Write sealed files under the key `to`: messages for other programs, copies for customers, the lane's state."""
    folders = (settings.outbox_folder, log_file(settings.home).parent, settings.home / OWN_RECORDS)
    inside = (path for folder in folders for path in sorted(folder.rglob("*")))
    for path in inside:
        if path.is_file() and is_sealed(path) and not _opens(path, key=to):
            put_in_place(path, seal(read_file(path, key=settings.encryption_key), key=to))
            yield path


def _opens(path: Path, *, key: str) -> bool:
    try:
        read_file(path, key=key)
    except EncryptionError:
        return False
    return True


def _fits(path: Path, *, key: str) -> bool:
    try:
        check_fit(path, key=key)
    except EncryptionError:
        return False
    return True


def _copy_sqlite(path: Path, fresh: Path, *, key: str, to: str) -> None:
    with closing(sqlite_driver(key=key or to).connect(path)) as connection:
        if key:
            unlock(connection, path, key=key)
        connection.execute("pragma journal_mode = delete")  # what stands in the write-ahead log goes into the file
        connection.execute(f"attach database ? as fresh key {sqlite_key(to)}", [str(fresh)])
        connection.execute("select sqlcipher_export('fresh')").fetchall()


def _write_under(path: Path, *, key: str, to: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    if _is_sqlite(path):
        _copy_sqlite(path, fresh, key=key, to=to)
    else:
        with open_file(path, key=key) as connection:
            attach(connection, fresh, name="fresh", key=to)
            connection.execute(f'copy from database "{path.stem}" to fresh')
            connection.execute("detach fresh")
    os.replace(fresh, path)  # noqa: PTH105 - atomic, also over a file that is being read
