"""Erasing from a lake: its tables, the past that still shows the customers, the files behind it, and the catalogue."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import duckdb

from ingestion.transaction import transaction
from orchestration.engines import Lake
from privacy.database import SqlDatabase
from privacy.duckdb_tables import MEMORY, Eraser, Mode, Table, quote
from privacy.identifiers import Identifiers
from privacy.traces import Evidence, Trace

_SNAPSHOTS = "snapshots of earlier moments"


@dataclass(frozen=True, kw_only=True)
class LakeStore:
    """A lake, whose writers are kept waiting meanwhile."""

    lake: Lake
    name: str = "lake"

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, by doing it and taking it back; then what the catalogue holds."""
        with closing(self._open()) as connection:
            connection.execute("begin transaction")
            try:
                traces = list(Eraser(connection=connection, identifiers=identifiers, mode="erasure").erase())
            finally:
                connection.execute("rollback")
            past = _trace_past(connection)
        return [*traces, *([past] if past.rows else []), *self._search_catalog(identifiers)]

    def erase(self, identifiers: Identifiers, *, mode: Mode) -> Evidence:
        """Write the tables anew without the customers and let go of the past; a second time changes nothing.

        Raises ErasureError where rows of anybody else would change.
        """
        with closing(self._open()) as connection:
            eraser = Eraser(connection=connection, identifiers=identifiers, mode=mode)
            before = eraser.digest_others()
            with transaction(connection):
                traces = tuple(eraser.erase())
                touched = {trace.place for trace in traces}
                written = [
                    _write_anew(connection, table)
                    for table in eraser.tables
                    if table.place in touched or _has_gaps(connection, table)
                ]
                eraser.refuse_changes(before, place=self.lake.name)
            past = _trace_past(connection)
        self.lake.forget_past()
        remarks = tuple(self._describe(written=len(written)))
        return Evidence(store=self.name, traces=(*traces, past), others_unchanged=True, remarks=remarks)

    def _describe(self, *, written: int) -> Iterator[str]:
        """Yield what the receipt says of the lake."""
        ((_, moment, _),) = self.lake.list_snapshots(2)
        files = len(self.lake.list_files("**/*.parquet"))
        yield f"The past of the tables can be read from {moment:%Y-%m-%d %H:%M:%S} UTC on, and no more from before."
        yield (
            f"{written} tables were written anew, with bounds and keys of their own; {files} Parquet files are left, "
            "all of which belong to present tables. They are compressed, so that their columns were searched, too."
        )
        yield (
            "The tables of the catalogue were written anew and searched. The write-ahead log, replicas and backups of "
            "its server are with whoever runs it."
        )

    def _search_catalog(self, identifiers: Identifiers) -> list[Trace]:
        """Return the tables of the catalogue in which an identifier stands, be it as a bound or as a row kept there."""
        database = SqlDatabase(name=self.name, url=self.lake.catalog_url.render_as_string(hide_password=False))
        found = database.find(identifiers)
        return [
            Trace(place=f"catalogue.{table}", action="deleted", rows=rows, rows_before=rows)
            for table, rows in found.items()
        ]

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = self.lake.open()
        connection.execute(f"set memory_limit = '{MEMORY}'")
        return connection


def _trace_past(connection: duckdb.DuckDBPyConnection) -> Trace:
    """Return what becomes of the snapshots: all but the newest one go."""
    snapshots = _count(connection, "select count(*) from lake.snapshots()")
    return Trace(place=_SNAPSHOTS, action="expired", rows=snapshots - 1, rows_before=snapshots, rows_after=1)


def _has_gaps(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Tell whether rows were ever deleted from a table: they stay in its files, and in the bounds of its columns."""
    written = _count(
        connection,
        "select coalesce(max(estimated_size), 0) from duckdb_tables() where database_name = current_database() "
        "and schema_name = $schema and table_name = $table",
        {"schema": table.schema, "table": table.name},
    )
    return written != _count(connection, f"select count(*) from {table.address}")


def _write_anew(connection: duckdb.DuckDBPyConnection, table: Table) -> str:
    """Put a new table with the same columns and rows in the place of one, whose files and bounds become the past."""
    columns = connection.execute(
        "select column_name, data_type, is_nullable from duckdb_columns() where database_name = current_database() "
        "and schema_name = $schema and table_name = $table order by column_index",
        {"schema": table.schema, "table": table.name},
    ).fetchall()
    listed = ", ".join(f"{quote(name)} {kind}{'' if nullable else ' not null'}" for name, kind, nullable in columns)
    former = Table(schema=table.schema, name=f"{table.name}_before_erasing", columns=table.columns)
    connection.execute(f"alter table {table.address} rename to {quote(former.name)}")
    connection.execute(f"create table {table.address} ({listed})")
    connection.execute(f"insert into {table.address} select * from {former.address}")
    connection.execute(f"drop table {former.address}")
    return table.place


def _count(connection: duckdb.DuckDBPyConnection, query: str, given: dict[str, str] | None = None) -> int:
    row = connection.execute(query, given or {}).fetchone()
    return int(row[0]) if row else 0
