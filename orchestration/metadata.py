"""What an asset's page shows of its table: how many rows, which columns, the first rows, and figures for a reader."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import dagster as dg

from company.contract import TABLES
from ml.registry import Registry
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SIGNIFICANT_DIGITS = 4
FIRST_ROWS, FIRST_COLUMNS, CELL_WIDTH = 5, 12, 60
PUBLIC = {"customer_360", "features", "monitoring", "outcomes", "retention", "scores"}  # schemas that people read
# An asset's page outlives the erasure of a customer: it shows what was derived, nothing of the person.
PERSONAL = frozenset(
    column.name
    for name, table in TABLES.items()
    for column in table.columns
    if column.personal or name == "customers" or column.name.endswith("customer_id")
)


def describe_table(warehouse: Warehouse, table: str, *, as_of: date | None = None) -> dict[str, Any]:
    """Return rows, columns and, of a public table, the first rows of `schema.table` as metadata.

    With `as_of` the rows of that day are counted next to all, and the first rows are of that day; of a single row the
    figures are metadata already.
    """
    with warehouse.connect() as connection:
        columns = connection.execute(f"describe {table}").fetchall()
        schema = dg.TableSchema(columns=[dg.TableColumn(name, type=kind) for name, kind, *_ in columns])
        return _describe_rows(connection, table, as_of=as_of) | {"dagster/column_schema": schema}


def describe_schema(schema: "pa.Schema") -> dg.TableSchema:
    """Return the columns of an Arrow table as Dagster shows them."""
    return dg.TableSchema(columns=[dg.TableColumn(field.name, type=str(field.type)) for field in schema])


def link_version(registry: Registry, url: str, version: str) -> dict[str, Any]:
    """Return the link to a version's page below the MLflow server's `url`; nothing for scores without a model."""
    page = f"{url.rstrip('/')}/#/models/{registry.model_name}/versions/{version}"
    return {"mlflow_version": dg.MetadataValue.url(page)} if version.isdecimal() else {}


def describe_rows(warehouse: Warehouse, tables: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return for each `schema.table` its rows and, of a public one, the first of them as metadata."""
    if not tables:
        return {}
    with warehouse.connect() as connection:
        return {table: _describe_rows(connection, table) for table in tables}


def round_figures(row: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return a row, or the named figures of it, as metadata: floats rounded, days as text, without the unknown."""
    known = {name: row[name] for name in (row if names is None else names) if row.get(name) is not None}
    return {name: _round(value) for name, value in known.items()}


def write_table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Return rows of one shape as a Markdown table, figures rounded."""
    if not rows:
        return dg.MetadataValue.md("no rows")
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_write_cell(value) for value in row.values()] for row in rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _describe_rows(connection: "duckdb.DuckDBPyConnection", table: str, *, as_of: date | None = None) -> dict[str, Any]:
    of_day = connection.table(table)
    counts = {"dagster/row_count": len(of_day)}
    if as_of is not None:
        of_day = of_day.filter(f"as_of = date '{as_of}'")
        counts["dagster/partition_row_count"] = len(of_day)
    if table.split(".", maxsplit=1)[0] not in PUBLIC or counts.get("dagster/partition_row_count") == 1:
        return counts
    shown = [name for name in of_day.columns if name not in PERSONAL][:FIRST_COLUMNS]
    quoted = ", ".join(f'"{name}"' for name in shown)
    first = of_day.limit(FIRST_ROWS).project(quoted).to_arrow_table().to_pylist() if shown else []
    return {**counts, "first_rows": write_table(first)}


def _round(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return value.isoformat() if isinstance(value, date | datetime) else value


def _write_cell(value: object) -> str:
    """Return a cell as short text; a bar or a line break in it would end the cell."""
    rounded = _round(value)
    text = "" if rounded is None else f"{rounded:g}" if isinstance(rounded, float) else str(rounded)
    return shorten(text.replace("|", "/"), CELL_WIDTH, placeholder=" …")
