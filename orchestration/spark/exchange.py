"""What Spark is handed of a warehouse, and how what it made takes its place there: Parquet in both directions."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ingestion.transaction import transaction
from orchestration.row_digest import digest_rows
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
        content = [(schema, name, *digest_rows(connection, f'"{schema}"."{name}"')) for schema, name in inputs]
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


def name_table(node: Node) -> str:
    """Return `schema.name` of a model."""
    return f"{node['schema']}.{node['name']}"


def keeps_days(node: Node) -> bool:
    """Tell whether a model's table keeps the days of earlier runs, of which a run replaces its own."""
    config = node["config"]
    return bool(config.get("keeps_snapshots") or config.get("incremental_strategy") == "delete+insert")


def export_days(
    warehouse: Warehouse, node: Node, folder: SparkFolder, *, condition: str, snapshots: Collection[str] = ()
) -> None:
    """Write the days of a model's table that hold a `condition`, where Spark goes on with them as its own.

    Where the table has the columns of another release the `snapshots` are left out, so that they are built anew.
    """
    table, declared = name_table(node), _list_columns(node, {})
    if not warehouse.has_table(table):
        return
    target = folder.find(table)
    target.parent.mkdir(parents=True, exist_ok=True)
    with warehouse.connect() as connection:
        held = _read_columns(connection, table)
        if held != declared.keys():
            condition += "".join(f" and as_of <> date '{day}'" for day in snapshots)
        values = ", ".join(name if name in held else f"cast(null as {declared[name]}) as {name}" for name in declared)
        options = f", partition_by (as_of), filename_pattern '{KEPT}{{i}}'"
        _copy(connection, f"select {values} from {table} where {condition}", target, options=options)


def export_rows(warehouse: Warehouse, relation: str, folder: SparkFolder, *, condition: str) -> None:
    """Write the rows of a table or view `schema.name` that hold a `condition` as an input."""
    schema, name = relation.split(".")
    (folder.inputs / schema).mkdir(parents=True, exist_ok=True)
    with warehouse.connect() as connection:
        _copy(connection, f"from {relation} where {condition}", folder.inputs / schema / f"{name}.parquet")


def take_over(
    warehouse: Warehouse, folder: SparkFolder, nodes: Sequence[Node], columns: Mapping[str, Mapping[str, str]]
) -> None:
    """Put the tables of models that Spark made in the place of the warehouse's: all of them, or none.

    `columns` are the types of Spark, which count where a model declares none of its own.
    """
    with warehouse.connect() as connection, transaction(connection):
        for node in nodes:
            table = name_table(node)
            connection.execute(f"create schema if not exists {node['schema']}")
            declared, files = _list_columns(node, columns[table]), sorted(folder.find(table).rglob("*.parquet"))
            if keeps_days(node):
                made = [file for file in files if not file.name.startswith(KEPT)]
                _give_columns(connection, table, declared, is_exact=bool(node["config"].get("keeps_snapshots")))
                _replace_days(connection, table, made, declared)
            else:
                connection.execute(f"create or replace table {table} ({_declare(declared)})")
                _insert(connection, table, files, declared)


def _list_columns(node: Node, made: Mapping[str, str]) -> dict[str, str]:
    if node["config"]["contract"]["enforced"]:
        return {name: column["data_type"] for name, column in node["columns"].items()}
    return {name: made[name] for name in sorted(made, key=lambda name: name != "as_of")}  # Spark has it as the last one


def _give_columns(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], *, is_exact: bool
) -> None:
    """Give a table the columns that its model declares and, where dbt would do so, no more."""
    connection.execute(f"create table if not exists {table} ({_declare(columns)})")
    held = _read_columns(connection, table)
    for name in columns.keys() - held:
        connection.execute(f"alter table {table} add column {name} {columns[name]}")
    for name in held - columns.keys() if is_exact else ():
        connection.execute(f"alter table {table} drop column {name}")


def _replace_days(
    connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], columns: Mapping[str, str]
) -> None:
    days = sorted({file.parent.name.partition("=")[2] for file in files})
    connection.execute(f"delete from {table} where as_of in (select unnest($days::date[]))", {"days": days})
    _insert(connection, table, files, columns)


def _read_columns(connection: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    return {name for name, *_ in connection.execute(f"describe {table}").fetchall()}


def _declare(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], columns: Mapping[str, str]
) -> None:
    if not files:
        return
    values = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in columns.items())
    read = f"read_parquet({[str(file) for file in files]}, hive_partitioning = true)"
    connection.execute(f"insert into {table} by name select {values} from {read}")


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, *, options: str = "") -> None:
    connection.execute(f"copy ({query}) to '{target}' (format parquet{options})")
