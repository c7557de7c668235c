"""What Spark is handed of a warehouse, and how what it made takes its place there: Parquet in both directions."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ingestion.transaction import transaction
from orchestration.builds import digest_rows
from orchestration.spark.job import SparkFolder
from orchestration.warehouse import Warehouse

BY_NAME = {("identity", "members"), ("ingestion", "landings"), ("ingestion", "repairs")}  # read where they are there
KEPT = "kept-"  # begins the names of files of earlier days; Spark names its own `part-`
Node = Mapping[str, Any]


def export_inputs(
    warehouse: Warehouse, manifest: Mapping[str, Any], nodes: Collection[str], folder: SparkFolder
) -> None:
    """Write every landed table, and every table that Python writes and the `nodes` read."""
    with warehouse.connect() as connection:
        for schema, name in _list_inputs(connection, manifest, nodes):
            (folder.inputs / schema).mkdir(parents=True, exist_ok=True)
            _copy(connection, f"from {schema}.{name}", folder.inputs / schema / f"{name}.parquet")


def digest_inputs(warehouse: Warehouse, manifest: Mapping[str, Any], nodes: Collection[str]) -> str:
    """Return a digest of all that `export_inputs` would write."""
    with warehouse.connect() as connection:
        inputs = _list_inputs(connection, manifest, nodes)
        content = [(schema, name, *digest_rows(connection, schema, name)) for schema, name in inputs]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _list_inputs(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], nodes: Collection[str]
) -> Iterator[tuple[str, str]]:
    parents = {key for name in nodes for key in manifest["nodes"][name]["depends_on"]["nodes"]}
    sources = [source for key, source in manifest["sources"].items() if key in parents]
    read = {*BY_NAME, *((source["schema"], source["identifier"]) for source in sources)}
    listed = connection.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_catalog = current_database() and table_type = 'BASE TABLE' order by all"
    ).fetchall()
    for schema, name in listed:
        if schema.startswith("raw_") or (schema, name) in read:
            yield schema, name


def keeps_days(node: Node) -> bool:
    """Tell whether a model's table keeps the days of earlier runs, of which a run replaces its own."""
    config = node["config"]
    return bool(config.get("keeps_snapshots") or config.get("incremental_strategy") == "delete+insert")


def export_days(warehouse: Warehouse, table: str, folder: SparkFolder, *, condition: str) -> None:
    """Write the days of `schema.table` that hold a `condition`, where Spark goes on with them as its own."""
    if not warehouse.has_table(table):
        return
    target = folder.find(table)
    target.parent.mkdir(parents=True, exist_ok=True)
    with warehouse.connect() as connection:
        options = f", partition_by (as_of), filename_pattern '{KEPT}{{i}}'"
        _copy(connection, f"from {table} where {condition}", target, options=options)


def take_over(
    warehouse: Warehouse, folder: SparkFolder, nodes: Sequence[Node], columns: Mapping[str, Mapping[str, str]]
) -> None:
    """Put the tables of models that Spark made in the place of the warehouse's: all of them, or none.

    `columns` are the types of Spark, which count where a model declares none of its own.
    """
    with warehouse.connect() as connection, transaction(connection):
        for node in nodes:
            table = f"{node['schema']}.{node['name']}"
            connection.execute(f"create schema if not exists {node['schema']}")
            (_replace_days if keeps_days(node) else _replace)(
                connection, table, folder.find(table), _list_columns(node, columns[table])
            )


def _list_columns(node: Node, made: Mapping[str, str]) -> dict[str, str]:
    if node["config"]["contract"]["enforced"]:
        return {name: column["data_type"] for name, column in node["columns"].items()}
    return dict(made)


def _replace(connection: duckdb.DuckDBPyConnection, table: str, files: Path, columns: Mapping[str, str]) -> None:
    made = sorted(files.rglob("*.parquet"))
    connection.execute(f"create or replace table {table} ({_declare(columns)})")
    if made:
        _insert(connection, table, made, columns)


def _replace_days(connection: duckdb.DuckDBPyConnection, table: str, files: Path, columns: Mapping[str, str]) -> None:
    made = sorted(path for path in files.rglob("*.parquet") if not path.name.startswith(KEPT))
    connection.execute(f"create table if not exists {table} ({_declare(columns)})")
    _align(connection, table, columns)
    if made:
        days = sorted({path.parent.name.partition("=")[2] for path in made})
        connection.execute(f"delete from {table} where as_of in (select unnest($days::date[]))", {"days": days})
        _insert(connection, table, made, columns)


def _align(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> None:
    """Give a table of an earlier release the columns that its model declares now."""
    held = {name for name, *_ in connection.execute(f"describe {table}").fetchall()}
    for name in columns.keys() - held:
        connection.execute(f"alter table {table} add column {name} {columns[name]}")


def _declare(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], columns: Mapping[str, str]
) -> None:
    values = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in columns.items())
    read = f"read_parquet({[str(file) for file in files]}, hive_partitioning = true)"
    connection.execute(f"insert into {table} by name select {values} from {read}")


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, *, options: str = "") -> None:
    connection.execute(f"copy ({query}) to '{target}' (format parquet{options})")
