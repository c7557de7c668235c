"""Whether tables of two engines are the same, cell by cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd
from more_itertools import chunked

from orchestration.spark.job import SCORED, SparkFolder
from orchestration.warehouse import Warehouse

PUBLIC = ("customer_360", "features")
RELATIVE = 1e-9  # how far apart two doubles may be: the order in which engines add is their own

COLUMNS_AT_ONCE = 20  # of a table that is compared, so that memory holds it


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A table on both engines: its rows and cells in the warehouse, and how many cells Spark has otherwise."""

    table: str
    rows: int
    cells: int
    differing: int


def compare_public(warehouse: Warehouse, folder: SparkFolder, manifest: Mapping[str, Any]) -> list[Compared]:
    """Compare every table of the customer view and the features that dbt makes, and the scores where there are any."""
    return [compare_table(warehouse, folder, table) for table in list_public(folder, manifest)]


def list_public(folder: SparkFolder, manifest: Mapping[str, Any]) -> list[str]:
    """Return the tables of the customer view and the features, and those of the scores that Spark made."""
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    tables = sorted(
        f"{node['schema']}.{node['name']}"
        for node in models
        if node["schema"] in PUBLIC and node["config"]["materialized"] != "view"
    )
    return [*tables, *(table for table in SCORED if folder.find(table).exists())]


def compare_table(warehouse: Warehouse, folder: SparkFolder, table: str) -> Compared:
    """Compare the days that Spark built of a table, all rows where it has no days; some columns at a time."""
    files = folder.find(table)
    built = f"from read_parquet('{files}/**/*.parquet', hive_partitioning = true)"
    with warehouse.connect() as connection:
        kinds, held = _describe(connection, f"from {table}"), f"from {table}"
        if not folder.holds(table):
            rows = connection.sql(held).shape[0]
            return Compared(table=table, rows=rows, cells=rows * len(kinds), differing=rows * len(kinds))
        if "as_of" in kinds:
            found = connection.execute(f"select distinct cast(as_of as date) {built}").fetchall()
            days = ", ".join(f"date '{day}'" for (day,) in found)
            held += f" where as_of in ({days or 'null'})"
            held += " qualify batch = max(batch) over (partition by as_of)" if "batch" in kinds else ""
        rows, known = connection.sql(held).shape[0], _describe(connection, built)
        order = [f"cast({name} as {kind})" for name, kind in kinds.items() if kind != "DOUBLE" and name in known]
        differing = sum(
            count_different(
                _read(connection, held, kinds, names, order),
                _read(connection, built, kinds, [name for name in names if name in known], order),
            )
            for names in chunked(kinds, COLUMNS_AT_ONCE)
        )
    return Compared(table=table, rows=rows, cells=rows * len(kinds), differing=differing)


def _describe(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    """Return the type of each column by its name."""
    return {name: kind for name, kind, *_ in connection.execute(f"describe {query}").fetchall()}


def _read(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    kinds: Mapping[str, str],
    names: Sequence[str],
    order: Sequence[str],
) -> pd.DataFrame:
    """Return some columns, each as the type that the warehouse has, the rows in an `order` that both sides know."""
    columns = ", ".join(f"cast({name} as {kinds[name]}) as {name}" for name in names) or "1 as nothing"
    return connection.execute(f"select {columns} {query} order by {', '.join(order) or 'all'}").df()


def count_different(left: pd.DataFrame, right: pd.DataFrame) -> int:
    """Return how many cells differ, doubles by more than RELATIVE; all of them where rows or columns do."""
    if list(left.columns) != list(right.columns) or len(left) != len(right):
        return max(left.size, right.size, 1)
    return sum(_count_column(left[name], right[name]) for name in left.columns)


def _count_column(left: pd.Series, right: pd.Series) -> int:
    if pd.api.types.is_float_dtype(left) and pd.api.types.is_float_dtype(right):
        largest = left.abs().where(left.abs() >= right.abs(), right.abs()).clip(lower=1e-300)
        near = (left - right).abs() <= RELATIVE * largest
        return int((~(near | (left == right) | (left.isna() & right.isna()))).sum())
    return int((left.astype("string").fillna("") != right.astype("string").fillna("")).sum())
