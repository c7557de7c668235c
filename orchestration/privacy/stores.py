"""Every store of an instance, found and not listed: databases by their signature, all other files as files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import make_url

from company.encryption import EncryptionError, sqlite_driver, unlock
from ingestion.keyring import KEYS_URL_NAME, keys_address
from ingestion.vault import URL_NAME, Vault
from orchestration.engines import Lake, open_engine
from orchestration.privacy.lake_store import LakeStore
from orchestration.settings import Settings
from privacy.database import SqlDatabase
from privacy.duckdb_file import DuckDbFile
from privacy.duckdb_tables import Mode
from privacy.files import DUCKDB, SQLITE, Files, kind_of, list_files
from privacy.identifiers import Identifiers
from privacy.traces import Evidence, Trace
from retention.store.tables import BLANK, METADATA, ON_ERASURE

_LEAST_PAGE = 512  # bytes; a SQLite file has whole pages
OWN_RECORDS = "privacy"  # the folder of receipts and of their key, in the state folder
_VAULT_RECORDS = frozenset({("vault_askings", "customer_id")})  # who read which value, and why


class Erasable(Protocol):
    """A store that can be erased from."""

    @property
    def name(self) -> str:
        """What the receipt calls it."""

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, without doing it."""

    def erase(self, identifiers: Identifiers, *, mode: Mode) -> Evidence:
        """Take the customers out; a second time changes nothing."""


@dataclass(frozen=True, kw_only=True)
class VaultStore:
    """The vault: keys are destroyed first, so that values in its backups cannot be read either."""

    environment: Mapping[str, str]
    sources: tuple[str, ...]
    at: datetime
    name: str = "vault"

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, without doing it."""
        return [trace for database in self._databases for trace in database.plan(identifiers)]

    def erase(self, identifiers: Identifiers, *, mode: Mode) -> Evidence:
        """Destroy the keys of every account, then delete what is stored under its id; clear values survive nothing."""
        del mode
        vault = Vault.from_secrets(self.environment)
        for source in self.sources:
            vault.destroy(source, identifiers.customers, at=self.at.replace(tzinfo=None))
        parts = [database.erase(identifiers, mode="erasure") for database in self._databases]
        return Evidence(store=self.name, traces=tuple(trace for part in parts for trace in part.traces))

    @property
    def _databases(self) -> list[SqlDatabase]:
        """The databases of the values and of their keys, which may be one."""
        addresses = list_vault_addresses(self.environment)
        return [SqlDatabase(name=self.name, url=url, blanked=_VAULT_RECORDS) for url in addresses]


def list_vault_addresses(environment: Mapping[str, str]) -> list[str]:
    """Return the addresses of the vault's values and of their keys, each once; nothing where no vault is named."""
    if not Vault.is_named(environment):
        return []
    values = environment[URL_NAME]
    return list(dict.fromkeys([values, environment.get(KEYS_URL_NAME) or keys_address(values)]))


def find_stores(settings: Settings, *, sources: tuple[str, ...], at: datetime) -> list[Erasable]:
    """Return every store of the instance, the vault as the last one."""
    key = settings.encryption_key
    inside = [(path, find_kind(path, key=key)) for path in list_files(settings.home)]
    vault = [_path_of(url) for url in list_vault_addresses(settings.environment)]
    files = [path for path, kind in inside if kind == SQLITE and path not in vault]
    servers = {"operational store": settings.operational_url, "registry": settings.tracking_uri}
    outside = {name: url for name, url in servers.items() if _is_outside(url, files)}
    stores: list[Erasable] = [
        SqlDatabase(
            name=_name(settings, path),
            url=f"sqlite:///{path}",
            key="" if kind_of(path) == SQLITE else key,
            blanked=_find_blanked(),
        )
        for path in files
    ]
    stores += [SqlDatabase(name=name, url=url, blanked=_find_blanked()) for name, url in outside.items()]
    stores += [DuckDbFile(name=_name(settings, path), path=path, key=key) for path, kind in inside if kind == DUCKDB]
    engine = open_engine(settings)
    if isinstance(engine, Lake):
        stores.append(LakeStore(lake=engine))
    stores.append(Files(name="files", folder=settings.home, key=key))
    if Vault.is_named(settings.environment):
        stores.append(VaultStore(environment=settings.environment, sources=sources, at=at))
    return stores


def find_folders(settings: Settings) -> list[Path]:
    """Return the folders in which the files of the instance are: the state folder, and that of a lake elsewhere."""
    engine = open_engine(settings)
    files = [Path(engine.files)] if isinstance(engine, Lake) and not engine.bucket else []
    return [settings.home, *(folder for folder in files if not folder.is_relative_to(settings.home))]


def read_objects(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of what the instance keeps in a bucket: the files of a lake, nothing on other engines."""
    engine = open_engine(settings)
    if isinstance(engine, Lake) and engine.bucket:
        yield from engine.read_objects()


def find_kind(path: Path, *, key: str) -> bytes | None:
    """Return what a file is, by its signature; of an encrypted SQLite file, which has none, by what the key opens."""
    kind = kind_of(path)
    if kind or not key or not _may_be_encrypted(path):
        return kind
    try:
        with closing(sqlite_driver(key=key).connect(path)) as connection:
            unlock(connection, path, key=key)
    except EncryptionError:
        return None
    return SQLITE


def _may_be_encrypted(path: Path) -> bool:
    size = path.stat().st_size
    return size > 0 and size % _LEAST_PAGE == 0


def name_encrypted(settings: Settings) -> Iterator[str]:
    """Yield the files of an instance whose bytes are encrypted, so that a search of them proves nothing."""
    key = settings.encryption_key
    for path in list_files(settings.home) if key else ():
        kind = find_kind(path, key=key)
        if kind == DUCKDB or (kind == SQLITE and kind_of(path) is None):
            yield _name(settings, path)


def find_uncovered(settings: Settings) -> list[str]:
    """Return what no store of the instance is, in words for the receipt."""
    uncovered = [
        "the company's own source systems, from which the suppression list keeps these ids out",
        "receivers of messages that left through the company's channels",
        "backups, of which those of the vault cannot be read once its keys are destroyed",
    ]
    engine = open_engine(settings)
    if isinstance(engine, Lake):
        uncovered.append("the write-ahead log, replicas and backups of the server of the lake's catalogue")
        if engine.bucket:
            uncovered.append(
                f"earlier versions and unfinished uploads that the server keeps of the bucket of {engine.files}, which "
                "no list of its objects shows"
            )
    if settings.tracking_uri.startswith("http"):
        uncovered.append(f"the MLflow server at {settings.tracking_uri}, which keeps models and figures, no rows")
    return uncovered


def _is_outside(url: str, files: Sequence[Path]) -> bool:
    """Tell whether an address is a database that is there and none of `files`; a file may not be made yet."""
    path = _path_of(url)
    return not url.startswith("http") and (path is None or (path.exists() and path not in files))


def _find_blanked() -> frozenset[tuple[str, str]]:
    return frozenset(
        (table.name, column.name)
        for table in METADATA.tables.values()
        for column in table.columns
        if column.info.get(ON_ERASURE) == BLANK
    )


def _name(settings: Settings, path: Path) -> str:
    return str(path.relative_to(settings.home))


def _path_of(url: str) -> Path | None:
    """Return the file behind an address, None for a server."""
    if not url.startswith("sqlite"):
        return None
    database = make_url(url).database
    return Path(database) if database else None
