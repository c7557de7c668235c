"""Everything that is known of a customer, as files: a CSV file per table, and a manifest in JSON."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from company.sealed_file import ENDING, seal
from privacy.duckdb_tables import OWNER, quote
from privacy.requests import Request

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CHUNK = 10_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The rows of one table: the customer's own, with the names of the columns."""

    table: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]


def read_warehouse(
    connection: duckdb.DuckDBPyConnection, customers: Sequence[str], *, is_portable: bool
) -> Iterator[Answer]:
    """Yield the rows of every table that has an owner; of what is portable only what the sources delivered."""
    tables = connection.execute(
        "select schema_name, table_name from duckdb_columns() where column_name = ? and database_name = "
        "current_database() and (schema_name, table_name) in (select (schema_name, table_name) from duckdb_tables()) "
        "order by all",
        [OWNER],
    ).fetchall()
    for schema, table in tables:
        if is_portable and not schema.startswith("raw_"):
            continue
        answer = connection.execute(
            f"select * from {quote(schema)}.{quote(table)} where {OWNER} in (select unnest($ids::varchar[]))",
            {"ids": list(customers)},
        )
        names = [column[0] for column in answer.description or ()]
        yield Answer(table=f"{schema}.{table}", columns=names, rows=_fetch(answer))


def read_consents(connection: duckdb.DuckDBPyConnection, customers: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield owner, purpose, channel, whether it was given, moment (UTC) and source of each delivered consent."""
    schemas = connection.execute(
        "select schema_name from duckdb_tables() where table_name = 'consents' and starts_with(schema_name, 'raw_') "
        "and database_name = current_database() order by all"
    ).fetchall()
    for (schema,) in schemas:
        source = schema.removeprefix("raw_")
        answer = connection.execute(
            f"select customer_id, purpose, channel, is_granted, changed_at from {quote(schema)}.consents "
            f"where {OWNER} in (select unnest($ids::varchar[]))",
            {"ids": list(customers)},
        )
        yield from ((*row, source) for row in answer.fetchall())


def read_database(
    connection: sa.Connection, metadata: sa.MetaData, customers: Sequence[str], *, tables: Sequence[str] | None = None
) -> Iterator[Answer]:
    """Yield the rows of every table, or of those named, that has an owner."""
    for table in metadata.sorted_tables:
        if OWNER in table.c and (tables is None or table.name in tables):
            rows = connection.execute(sa.select(table).where(table.c[OWNER].in_(customers))).all()
            yield Answer(
                table=f"operational.{table.name}", columns=[*table.c.keys()], rows=[tuple(row) for row in rows]
            )


def write(folder: Path, answers: Iterable[Answer], request: Request, *, at: datetime, key: str = "") -> dict[str, int]:
    """Write a file per table that has rows and the manifest, sealed under a key; return the rows by table."""
    folder.mkdir(parents=True)
    written: dict[str, int] = {}
    for answer in answers:
        rows = [[as_cell(cell) for cell in row] for row in answer.rows]
        if not rows:
            continue
        text = io.StringIO(newline="")
        csv.writer(text).writerows([answer.columns, *rows])
        put(folder / f"{answer.table}.csv", text.getvalue(), encoding="utf-8-sig", key=key)
        written[answer.table] = len(rows)
    manifest = describe(request, written, at=at)
    put(folder / "manifest.json", json.dumps(manifest, indent=2) + "\n", key=key)
    return written


def put(path: Path, text: str, *, encoding: str = "utf-8", key: str) -> None:
    """Write a file of a copy: under a key sealed, with an ending that says so."""
    named = path.with_name(f"{path.name}{ENDING}") if key else path
    named.write_bytes(seal(text.encode(encoding), key=key))


def describe(request: Request, rows: Mapping[str, int], *, at: datetime) -> dict[str, Any]:
    """Return the manifest of an export, in the fields of a fulfilled OpenDSR request."""
    return {
        "api_version": "3.0",
        "subject_request_id": request.request_id,
        "subject_request_type": request.kind,
        "regulation": request.law,
        "request_status": "completed",
        "received_time": request.received_on.isoformat(),
        "expected_completion_time": request.due_on.isoformat(),
        "completed_time": at.isoformat(),
        "results_count": sum(rows.values()),
        "results": [{"table": table, "file": f"{table}.csv", "rows": count} for table, count in sorted(rows.items())],
    }


def as_cell(value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    """Return a cell of which no spreadsheet makes a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _fetch(answer: duckdb.DuckDBPyConnection) -> Iterator[Sequence[Any]]:
    while rows := answer.fetchmany(_CHUNK):
        yield from rows
