"""What was landed, when, and how far: the memory that makes every landing happen exactly once.

Schema `ingestion` holds it inside the warehouse, so that it is committed together with the rows it speaks of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion.readers.extract import FileSeen

_DDL = """
create schema if not exists ingestion;
create schema if not exists quarantine;
create table if not exists ingestion.landings (
    source varchar, table_name varchar, fingerprint varchar, mapping varchar, cursor varchar,
    rows_in bigint, rows_landed bigint, rows_quarantined bigint, rows_duplicate bigint,
    batch varchar, landed_at timestamp
);
create table if not exists ingestion.files (
    source varchar, table_name varchar, content varchar, path varchar, size bigint, modified_ns bigint,
    batch varchar, landed_at timestamp
);
create table if not exists ingestion.columns (
    source varchar, table_name varchar, column_name varchar, type varchar
);
create table if not exists ingestion.repairs (
    source varchar, table_name varchar, batch varchar, column_name varchar, rule varchar, count_rows bigint,
    landed_at timestamp
);
create table if not exists quarantine.rows (
    source varchar, table_name varchar, batch varchar, reason varchar, column_name varchar, row_key varchar,
    raw json, landed_at timestamp
);
"""
_LANDING = (
    "source", "table_name", "fingerprint", "mapping", "cursor", "rows_in", "rows_landed", "rows_quarantined",
    "rows_duplicate", "batch", "landed_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Landed:
    """The last landing of one feed: what was read under which mapping, how far, and what became of the rows."""

    fingerprint: str
    mapping: str
    cursor: str | None
    rows_in: int
    rows_landed: int
    rows_quarantined: int
    rows_duplicate: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The memory of one feed: `table` from `source`."""

    connection: duckdb.DuckDBPyConnection
    source: str
    table: str

    @property
    def last(self) -> Landed | None:
        """The last landing, or None when there was none."""
        row = self.connection.execute(
            "select fingerprint, mapping, cursor, rows_in, rows_landed, rows_quarantined, rows_duplicate "
            "from ingestion.landings where source = ? and table_name = ?",
            self._names,
        ).fetchone()
        return Landed(**dict(zip(Landed.__annotations__, row, strict=True))) if row else None

    def remember(self, landed: Landed, *, batch: str, at: datetime) -> None:
        """Write this landing over the last one."""
        values = [*self._names, *astuple(landed), batch, at]
        given = ", ".join(f"? as {name}" for name in _LANDING)
        self.connection.execute(
            f"""
            merge into ingestion.landings using (select {given}) as landed using (source, table_name)
            when matched then update when not matched then insert
            """,
            values,
        )

    def files(self) -> list[FileSeen]:
        """Return every file that was taken."""
        rows = self.connection.execute(
            "select path, content, size, modified_ns from ingestion.files where source = ? and table_name = ?",
            self._names,
        ).fetchall()
        return [FileSeen(path=Path(p), content=c, size=s, modified_ns=m) for p, c, s, m in rows]

    def remember_files(self, files: Iterable[FileSeen], *, batch: str, at: datetime) -> None:
        """Add files to those that were taken."""
        listed = list(files)
        self.connection.execute(
            """
            insert into ingestion.files
            select $source, $table, unnest($contents::varchar[]), unnest($paths::varchar[]), unnest($sizes::bigint[]),
                unnest($modified::bigint[]), $batch, $at
            """,
            {
                "source": self.source,
                "table": self.table,
                "contents": [file.content for file in listed],
                "paths": [str(file.path) for file in listed],
                "sizes": [file.size for file in listed],
                "modified": [file.modified_ns for file in listed],
                "batch": batch,
                "at": at,
            },
        )

    def columns(self) -> dict[str, str]:
        """Return the source's columns as they were last seen, with their types."""
        rows = self.connection.execute(
            "select column_name, type from ingestion.columns where source = ? and table_name = ?", self._names
        ).fetchall()
        return dict(rows)

    def remember_columns(self, columns: Mapping[str, str]) -> None:
        """Write the source's columns over those last seen; a type that is not known now stays as it was."""
        before = self.columns()
        columns = {name: kind or before.get(name, "") for name, kind in columns.items()}
        self.connection.execute("delete from ingestion.columns where source = ? and table_name = ?", self._names)
        self.connection.execute(
            "insert into ingestion.columns "
            "select $source, $table, unnest($names::varchar[]), unnest($kinds::varchar[])",
            {"source": self.source, "table": self.table, "names": list(columns), "kinds": list(columns.values())},
        )

    def forget_files(self) -> None:
        """Forget which files were taken, because all of them are read anew."""
        self.connection.execute("delete from ingestion.files where source = ? and table_name = ?", self._names)

    @property
    def _names(self) -> list[object]:
        return [self.source, self.table]


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the memory's tables where they are missing."""
    connection.execute(_DDL)
