"""Which columns the columns of a dbt model come from: read from the SQL that dbt ran, and kept until that changes."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.dbt import Dbt
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from sqlglot.expressions import Expr
    from sqlglot.lineage import Node

DIALECT = "duckdb"
LITERAL = re.compile(r"'[^']*'|\b\d+\b")
COLUMNS = "select table_schema, table_name, column_name, data_type from information_schema.columns"
Columns = dict[str, dict[str, dict[str, str]]]  # the type of a column, by schema, table and name
Sources = dict[str, list[list[str]]]  # schema, table and name of each column that a column is computed from


@dataclass(frozen=True, kw_only=True)
class ColumnLineage:
    """The lineage of a project's models, traced when dbt has compiled one anew."""

    dbt: Dbt
    warehouse: Warehouse

    def read(self, nodes: Collection[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return as metadata, by the model's id, where the columns that each declares come from.

        A model that was not compiled, or whose SQL cannot be traced, has no entry.
        """
        file = self.dbt.target / "column_lineage.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        compiled = {node["unique_id"]: _read_sql(self.dbt.target, node) for node in nodes if node["columns"]}
        digests = {key: digest_query(sql) for key, sql in compiled.items() if sql}
        changed = [key for key, digest in digests.items() if kept.get(key, {}).get("digest") != digest]
        if changed:
            columns = self._read_columns()
            models = self.dbt.manifest["nodes"]
            for key in changed:
                sources = trace_columns(str(compiled[key]), models[key]["columns"], columns=columns)
                kept[key] = {"digest": digests[key], "sources": sources}
            file.write_text(json.dumps(kept))
        return {key: {"dagster/column_lineage": _describe(kept[key]["sources"])} for key in digests}

    def _read_columns(self) -> Columns:
        found: Columns = {}
        for row in self.warehouse.read(COLUMNS).to_pylist():
            table = found.setdefault(row["table_schema"], {}).setdefault(row["table_name"], {})
            table[row["column_name"]] = row["data_type"]
        return found


def digest_query(sql: str) -> str:
    """Return a digest shared by queries that differ in numbers and texts alone, as those of two days do."""
    return sha256(LITERAL.sub("?", sql).encode()).hexdigest()


def trace_columns(sql: str, names: Iterable[str], *, columns: Columns) -> Sources:
    """Return for each named column of a query the columns of tables that it is computed from; nothing where unknown."""
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope
    from sqlglot.schema import MappingSchema

    try:
        query = parse_one(sql, dialect=DIALECT)
        schema = MappingSchema(_select_read(query, columns), dialect=DIALECT)  # once: it normalises all names
        whole = qualify(query, dialect=DIALECT, schema=schema, validate_qualify_columns=False, identify=False)
        scope = build_scope(whole)
        nodes = {
            name: lineage(name, whole, schema, scope=scope, dialect=DIALECT, trim_selects=False, copy=False)
            for name in names
        }
    except (SqlglotError, ValueError):  # the latter for a column that the query does not seem to have
        return {}
    return {name: _list_leaves(node, columns) for name, node in nodes.items()}


def _select_read(query: "Expr", columns: Columns) -> dict[str, object]:
    from sqlglot.expressions import Table

    selected: dict[str, dict[str, object]] = {}
    for table in query.find_all(Table):
        if types := columns.get(table.db, {}).get(table.name):
            selected.setdefault(table.db, {})[table.name] = types
    return dict(selected)


def _list_leaves(node: "Node", columns: Columns) -> list[list[str]]:
    from sqlglot.expressions import Table

    leaves = (
        (leaf.source.db, leaf.source.name, leaf.name.rpartition(".")[2])
        for leaf in node.walk()
        if not leaf.downstream and isinstance(leaf.source, Table)
    )
    return [list(leaf) for leaf in sorted(set(leaves)) if leaf[2] in columns.get(leaf[0], {}).get(leaf[1], {})]


def _read_sql(target: Path, node: Mapping[str, Any]) -> str | None:
    file = target / "compiled" / node["package_name"] / node["original_file_path"]
    return file.read_text(encoding="utf-8") if file.exists() else None


def _describe(sources: Sources) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        deps_by_column={
            name: [dg.TableColumnDep(asset_key=dg.AssetKey(key), column_name=column) for *key, column in found]
            for name, found in sources.items()
        }
    )
