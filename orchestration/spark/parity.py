"""Whether tables of two engines are the same, cell by cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from orchestration.spark.job import SCORED, SparkFolder
from orchestration.warehouse import Warehouse

PUBLIC = ("customer_360", "features")
RELATIVE = 1e-9  # how far apart two doubles may be: the order in which engines add is their own


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
    """Compare the days that Spark built of a table, all rows where it has no days."""
    with warehouse.connect() as connection:
        kinds = {name: kind for name, kind, *_ in connection.execute(f"describe {table}").fetchall()}
        files = folder.find(table)
        built = _read_built(connection, files, kinds) if any(files.rglob("*.parquet")) else None
        query = f"from {table}"
        if "as_of" in kinds and built is not None:
            days = ", ".join(f"date '{day:%Y-%m-%d}'" for day in built["as_of"].unique())
            query += f" where as_of in ({days or 'null'})"
            query += " qualify batch = max(batch) over (partition by as_of)" if "batch" in kinds else ""
        held = _read(connection, query, kinds)
    differing = count_different(held, held.iloc[:0] if built is None else built)
    return Compared(table=table, rows=len(held), cells=held.size, differing=differing)


def _read_built(connection: duckdb.DuckDBPyConnection, files: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    query = f"from read_parquet('{files}/**/*.parquet', hive_partitioning = true)"
    names = {name for name, *_ in connection.execute(f"describe {query}").fetchall()}
    return _read(connection, query, {name: kind for name, kind in kinds.items() if name in names})


def _read(connection: duckdb.DuckDBPyConnection, query: str, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return rows in the order of all that is exact, each column as the type that the warehouse has."""
    exact = [name for name, kind in kinds.items() if kind != "DOUBLE"]
    columns = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in kinds.items())
    return connection.execute(f"select {columns} {query} order by {', '.join(exact) or 'all'}").df()


def count_different(left: pd.DataFrame, right: pd.DataFrame) -> int:
    """Return how many cells differ, doubles by more than RELATIVE; all of them where rows or columns do."""
    if list(left.columns) != list(right.columns) or len(left) != len(right):
        return max(left.size, right.size, 1)
    return sum(_count_column(left[name], right[name]) for name in left.columns)


def _count_column(left: pd.Series, right: pd.Series) -> int:
    if pd.api.types.is_float_dtype(left) and pd.api.types.is_float_dtype(right):
        near = (left - right).abs() <= RELATIVE * left.abs().combine(right.abs(), max).clip(lower=1e-300)
        return int((~(near | (left == right) | (left.isna() & right.isna()))).sum())
    return int((left.astype("string").fillna("") != right.astype("string").fillna("")).sum())
