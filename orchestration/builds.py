"""What dbt built and still stands: a selection of nodes is not built again while nothing it rests on has changed.

That is decided from content alone: a record in the warehouse holds a digest of the project's code and variables, of the
run's day and snapshots, and of every row that was read and written. Whatever changes any of it, a build that was killed
halfway or a person's hand among them, makes the digest another one.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.dbt import Dbt, NodeResult
from orchestration.row_digest import digest_rows
from orchestration.warehouse import Warehouse

BUILDS = "monitoring.finished_builds"
LANDED = ("ingestion", "identity", "quarantine")  # schemas that models read besides those of the raw tables


@dataclass(frozen=True, kw_only=True)
class FinishedBuild:
    """The record of one step's last whole build: its `nodes`, and the relations that decide what they become."""

    step: str
    warehouse: Warehouse
    dbt: Dbt
    run: Mapping[str, str]
    nodes: Collection[str]
    later: Collection[str]

    def find(self) -> list[NodeResult] | None:
        """Return what became of every node when it was built, None when anything may have changed since."""
        if not self.warehouse.has_table(BUILDS):
            return None
        query = f"select results from {BUILDS} where step = $step and digest = $digest"
        found = self.warehouse.read_value(query, {"step": self.step, "digest": self._digest()})
        return None if found is None else [NodeResult(**each) for each in json.loads(found)]

    def remember(self, results: Sequence[NodeResult]) -> None:
        """Keep what became of the nodes, in the place of the step's record before."""
        row = {"step": self.step, "digest": self._digest(), "results": json.dumps([asdict(each) for each in results])}
        self.warehouse.replace_rows(BUILDS, pa.Table.from_pylist([row]), key="step")

    def _digest(self) -> str:
        models = list_relations(self.dbt.manifest, self.nodes, later=self.later)
        with self.warehouse.connect() as connection:
            content = list(_read_content(connection, models))
        given = [self.dbt.inputs, sorted(self.run.items()), sorted(self.nodes), content]
        return hashlib.sha256(json.dumps(given, default=str).encode()).hexdigest()


def list_relations(manifest: Mapping[str, Any], nodes: Collection[str], *, later: Collection[str]) -> set[str]:
    """Return `schema.table` of all that some nodes are or rest on, however far up.

    Nodes in `later` are views that stand before what they read is written: they count by their definition alone.
    """
    known = {**manifest["nodes"], **manifest["sources"]}
    found, pending = set(later), [name for name in nodes if name not in later]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += known[name].get("depends_on", {}).get("nodes", [])
    relations = (known[name] for name in found if known[name]["resource_type"] in {"model", "source", "seed"})
    return {f"{each['schema']}.{each.get('identifier') or each['name']}" for each in relations}


def _read_content(connection: duckdb.DuckDBPyConnection, models: Collection[str]) -> Iterator[tuple[object, ...]]:
    """Yield name, row count and hash of every table concerned, and name and definition of every view."""
    for schema, name in connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = current_database() order by all"
    ).fetchall():
        if f"{schema}.{name}" in models or schema in LANDED or schema.startswith("raw_"):
            yield (schema, name, *digest_rows(connection, f'"{schema}"."{name}"'))
    for schema, name, definition in connection.execute(
        "select schema_name, view_name, sql from duckdb_views() "
        "where database_name = current_database() and not internal order by all"
    ).fetchall():
        if f"{schema}.{name}" in models:
            yield schema, name, definition
