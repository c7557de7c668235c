"""DuckLake: Parquet files under a PostgreSQL catalogue, for several writers and any number of readers.

A writer commits by one row of the catalogue, so that readers see a transaction whole or not at all, and whoever is
killed leaves files that nothing refers to. The extensions come from the package index and need no network at work.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import duckdb
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from company.encryption import Connection
from expectations.gate import Database
from ingestion.transaction import transaction
from ingestion.values import literal
from orchestration.engines.base import PATIENCE_SECONDS, Engine, EngineError
from orchestration.engines.bucket import FILES, Bucket
from orchestration.engines.extensions import prepare_extensions
from orchestration.settings import Settings

CATALOG = "HOLDFAST_LAKE_CATALOG"
ALIAS = "lake"  # as dbt's profile attaches it
WRITERS = 0x686F6C64  # the key of the lock that writers hold in turn
_SAMPLES = "pg_catalog.pg_statistic"  # where PostgreSQL keeps the samples of columns
_OLD_READERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_xmin is not null
"""


@dataclass(frozen=True, kw_only=True)
class Lake(Engine):
    """The lake of a PostgreSQL `catalog`, a database of its own, with Parquet below `files`, a folder or a `bucket`.

    `scratch` is a local folder for what does not fit into memory, and for the extensions.
    """

    catalog: str = field(repr=False)
    files: str
    scratch: Path
    key: str = field(default="", repr=False)
    bucket: Bucket | None = None
    target: ClassVar[str] = "lake"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the lake that the environment names; raises EngineError where it names no catalogue, or no place."""
        environment = settings.environment
        catalog = environment.get(CATALOG, "")
        if not catalog:
            raise EngineError(
                f"HOLDFAST_TARGET is `lake`, but {CATALOG} is not set. Name a PostgreSQL database of its own, such as "
                f"postgresql://holdfast:...@host/lake; its tables are made at the first start. {FILES} names the "
                "folder of the Parquet files, by default `lake` in the state folder, or a place in a bucket: s3://bucket/prefix."
            )
        files = environment.get(FILES, "").rstrip("/") or str(settings.home / "lake")
        return cls(
            catalog=_as_libpq(catalog),
            files=files,
            scratch=settings.home / "scratch",
            key=settings.encryption_key,
            bucket=Bucket.of(files, environment) if "://" in files else None,
        )

    @property
    def name(self) -> str:
        """The catalogue and the place of the files."""
        return f"the lake of {make_url(self.catalog).render_as_string()} with files in {self.files}"

    def exists(self) -> bool:
        """Tell whether the catalogue has been made."""
        try:
            with duckdb.connect(config={**self.config}) as connection:
                _execute(connection, self._setup(is_read_only=True))
        except duckdb.InvalidInputException:
            return False
        except duckdb.Error as error:
            raise self._explain(error) from None
        return True

    def open(self) -> duckdb.DuckDBPyConnection:
        """Attach the lake to an empty database of this process, or go on with the one that is attached already."""
        name = hashlib.sha256(f"{self.catalog} {self.files}".encode()).hexdigest()[:16]
        connection = duckdb.connect(f":memory:{name}", config={**self.config})
        try:
            self._reach_files(connection)
            _execute(connection, self._setup(is_read_only=False))
        except (duckdb.Error, EngineError) as error:
            connection.close()
            raise self._explain(error) from None
        return connection

    def _reach_files(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the folder, or see that the bucket answers: no statement of the setup needs it yet."""
        if self.bucket:
            _execute(connection, self.bucket.statements)
            self.bucket.check(connection)
        else:
            Path(self.files).mkdir(parents=True, exist_ok=True)

    def attach_to(self, connection: duckdb.DuckDBPyConnection, alias: str) -> None:
        """Attach the lake for reading only."""
        _execute(connection, self._attach(alias, is_read_only=True))

    @contextmanager
    def rebuild(self, source: Engine, alias: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Write in one transaction, so that nobody sees a part of it."""
        connection = self.open()
        try:
            source.attach_to(connection, alias)
            with transaction(connection):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a lock of the catalogue's server, which ends with the connection, also that of a killed process.

        Writers take turns by whole runs: the models of a run read each other's tables, and DuckLake 1.5.5 overlooks
        conflicts of commits at the same moment (https://github.com/duckdb/ducklake/issues/1094). Readers never wait.
        """
        with self._connect_catalog() as connection:
            connection.execute(sa.text("select pg_advisory_lock(:key)"), {"key": WRITERS})
            yield

    def forget(self, *, days: int, now: datetime) -> None:
        """Expire snapshots older than `days`, join small files, and delete those that nobody can ask for any more.

        A file stays a day after its last snapshot, for whoever still reads it; so does one that a killed writer left.
        """
        if not days:
            return
        expired, unused = (f"timestamptz '{now - age}'" for age in (timedelta(days=days), timedelta(days=1)))
        with closing(self.open()) as connection:
            _execute(
                connection,
                (
                    f"call ducklake_flush_inlined_data('{ALIAS}')",
                    f"call ducklake_expire_snapshots('{ALIAS}', older_than => {expired})",
                    f"call ducklake_merge_adjacent_files('{ALIAS}')",
                    f"call ducklake_cleanup_old_files('{ALIAS}', older_than => {unused})",
                    f"call ducklake_delete_orphaned_files('{ALIAS}', older_than => {unused})",
                ),
            )

    def forget_past(self) -> None:
        """Let go of all but the present: every earlier snapshot, the files behind it, and what the catalogue kept.

        PostgreSQL keeps deleted rows until a table is written anew, and samples of columns, so that both are done here.
        Raises EngineError while somebody reads the catalogue as it was before.
        """
        with closing(self.open()) as connection:
            _execute(
                connection,
                (
                    f"call ducklake_expire_snapshots('{ALIAS}', older_than => timestamptz '9999-01-01')",
                    f"call ducklake_cleanup_old_files('{ALIAS}', cleanup_all => true)",
                    f"call ducklake_delete_orphaned_files('{ALIAS}', cleanup_all => true)",
                ),
            )
        with self._connect_catalog() as connection:
            self._wait_for_readers(connection)
            for table in [*sa.inspect(connection).get_table_names(), _SAMPLES]:
                connection.exec_driver_sql(f"vacuum (full, analyze) {table}")

    def list_files(self, pattern: str = "**") -> list[str]:
        """Return the paths, or addresses in a bucket, of the files below the lake's place that fit a pattern."""
        with closing(self.open()) as connection:
            found = connection.execute(
                "select file from glob($place) order by file", {"place": f"{self.files}/{pattern}"}
            )
            return [str(file) for (file,) in found.fetchall()]

    def read_objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield name below the lake's place and content of each object in its bucket, one in memory at a time."""
        with closing(self.open()) as connection:
            for file in self.list_files():
                row = connection.execute("select content from read_blob($file)", {"file": file}).fetchone()
                yield file.removeprefix(f"{self.files}/"), row[0] if row else b""

    def _wait_for_readers(self, connection: sa.Connection) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while connection.scalar(sa.text(_OLD_READERS)):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"{self.name}: somebody has read the catalogue for over {PATIENCE_SECONDS} s, and rows that were "
                    "deleted stay in it for them. End what reads (`pg_stat_activity` lists it), and run this again."
                )
            time.sleep(0.2)

    @contextmanager
    def _connect_catalog(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self.catalog_url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def catalog_url(self) -> sa.URL:
        """The catalogue's address for SQLAlchemy."""
        return make_url(self.catalog).set(drivername="postgresql+psycopg2")

    def list_snapshots(self, limit: int) -> list[tuple[int, datetime, list[str]]]:
        """Return number, moment in UTC and changed tables of the newest snapshots, those that are gone left out."""
        query = (
            "select snapshot_id, snapshot_time at time zone 'UTC', flatten(map_values(changes)) "
            f"from {ALIAS}.snapshots() order by snapshot_id desc limit {limit}"
        )
        named = f"select table_id::varchar, table_name from ducklake_table_info('{ALIAS}')"
        with closing(self.open()) as connection:
            names = dict(connection.execute(named).fetchall())
            found = connection.execute(query).fetchall()
        return [(number, moment, _name_tables(changed, names)) for number, moment, changed in found]

    def read_past(self, table: str, *, at: datetime, customer: str | None, limit: int) -> list[dict[str, Any]]:
        """Return rows of `schema.table` as they were at a moment, naive UTC; raises EngineError when there are none."""
        condition = "customer_id = $customer" if customer else "true"
        query = f"select * from {table} at (timestamp => timestamptz '{at}+00') where {condition} limit {limit}"
        with closing(self.open()) as connection:
            try:
                found = connection.execute(query, {"customer": customer} if customer else {}).to_arrow_table()
            except duckdb.Error as error:
                raise EngineError(
                    f"{table} cannot be read as of {at} UTC: {str(error).splitlines()[0]}. `holdfast lake snapshots` "
                    "lists the moments that are kept."
                ) from None
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    @property
    def database(self) -> Database:
        """The lake attached for reading only."""
        statements = self._setup(is_read_only=True)
        return Database(address=":memory:", config=self.config, enter=partial(_execute, statements=statements))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the target `lake` reads; the catalogue's address under a name whose value dbt keeps out of its logs."""
        return {
            "HOLDFAST_TARGET": "lake_in_a_bucket" if self.bucket else self.target,
            "DBT_ENV_SECRET_LAKE_CATALOG": self.catalog,
            FILES: self.files,
            "HOLDFAST_EXTENSIONS": self.config["extension_directory"],
            **(self.bucket.environment if self.bucket else {}),
        }

    def _explain(self, error: Exception) -> EngineError:
        """Return what went wrong in one paragraph, without the password that the library repeats."""
        if isinstance(error, EngineError):
            return error
        shown = make_url(self.catalog).render_as_string()
        reason = str(error).replace(self.catalog, shown).strip().splitlines()[0].rstrip(".")
        return EngineError(
            f"The warehouse on {self.name} cannot be opened: {reason}. Check {CATALOG} and {FILES}: the database must "
            "be there and be this company's alone, and the files must be within reach."
        )

    @cached_property
    def config(self) -> dict[str, str]:
        """The configuration of every DuckDB that attaches the lake."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        folder = prepare_extensions(self.scratch / "extensions")
        return {"extension_directory": str(folder), "temp_directory": str(self.scratch / "spilled")}

    def _setup(self, *, is_read_only: bool) -> tuple[str, ...]:
        """Return the statements that make the lake the current database of a connection."""
        # landing lets SQL reach no other place from then on
        allowed = f"set allowed_directories = [{literal(self.files)}]"
        return (*self._attach(ALIAS, is_read_only=is_read_only), f"use {ALIAS}", allowed)

    def _attach(self, alias: str, *, is_read_only: bool) -> tuple[str, ...]:
        option = "read_only" if is_read_only else f"data_path {literal(self.files)}{', encrypted' if self.key else ''}"
        attach = f"attach if not exists {literal(f'ducklake:postgres:{self.catalog}')} as {alias} ({option})"
        return (*(self.bucket.statements if self.bucket else ()), attach)


def _name_tables(changed: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """Return the tables among changes: new ones stand there by schema and name, others by their number alone."""
    made = {each.rpartition(".")[2].strip('"') for each in changed if "." in each}
    return sorted(made | {names[each] for each in changed if each in names})


def _as_libpq(address: str) -> str:
    """Return an address without the driver that SQLAlchemy knows it by."""
    return make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)


def _execute(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(statement)
