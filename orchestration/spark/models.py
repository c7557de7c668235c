"""The models of a step built by Spark and put in their place in the warehouse, for `HOLDFAST_MODELS_ON=spark`."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from textwrap import shorten
from typing import Any

from orchestration.dbt import BROKEN, BUILT, Dbt, NodeResult, name_nodes
from orchestration.deployment import Deployment
from orchestration.spark.build import call_spark, require_spark
from orchestration.spark.exchange import (
    Node,
    digest_inputs,
    export_days,
    export_inputs,
    keeps_days,
    name_table,
    take_over,
)
from orchestration.spark.job import SparkFolder, Stages
from orchestration.warehouse import Warehouse

MESSAGE_WIDTH = 300
STAGING = "staging"
FOLDERS = (STAGING, "bookkeeping", "intermediate", "customer_360", "features")


@dataclass(frozen=True, kw_only=True)
class SparkModels:
    """Builds a run's tables of FOLDERS on Spark; all other models, and all views, the warehouse's own `dbt` builds.

    Between the steps of a run the tables stay in HOME/spark, so that features go on with what staging made.
    """

    deployment: Deployment
    warehouse: Warehouse
    dbt: Dbt
    run: Mapping[str, str]

    def build(self, nodes: Collection[Node]) -> list[NodeResult]:
        """Build models and run tests; return what became of each.

        Where one breaks on Spark the warehouse stays as it was. Raises SparkError when Spark cannot work.
        """
        moved = {node["unique_id"]: node for node in nodes if self._is_moved(node)}
        results = self._build_on_spark(moved) if moved else []
        if any(each.status in BROKEN for each in results):
            # what was built before it broke is in no warehouse
            return [self._explain(each) for each in results if each.status != BUILT]
        others = [node for node in nodes if node["unique_id"] not in moved or _is_view(node)]
        results += self._build_in_warehouse(others, known=moved)
        return _order(results, nodes)

    def _build_in_warehouse(self, nodes: Sequence[Node], *, known: Collection[str]) -> Iterator[NodeResult]:
        if nodes:
            self.warehouse.release()  # dbt opens the file in a process of its own
            for each in self.dbt.build(name_nodes(nodes), run=self.run):
                if each.unique_id not in known or each.status in BROKEN:
                    yield each

    def _explain(self, result: NodeResult) -> NodeResult:
        """Return a result with its message as a sentence, without the plan of a query that follows it."""
        if result.status not in BROKEN:
            return result
        shown = shorten(result.message, MESSAGE_WIDTH, placeholder=" ...")
        return replace(result, message=f"{shown} (on Spark; all of it is in {self._folder.path / 'dbt' / 'logs'})")

    def _is_moved(self, node: Node) -> bool:
        """Tell whether Spark makes a model's table, or tests it; staging, views elsewhere, is made of tables there."""
        model = self._nodes[node["attached_node"]] if node["resource_type"] == "test" else node
        folder = model["path"].split("/")[0]
        return folder in FOLDERS and (folder == STAGING or not _is_view(model))

    def _build_on_spark(self, nodes: Mapping[str, Node]) -> list[NodeResult]:
        settings = self.deployment.settings
        require_spark(settings)
        self._prepare()
        models = [node for node in nodes.values() if node["resource_type"] == "model"]
        for table in map(name_table, models):
            self._folder.forget(table)
        for node in filter(keeps_days, models):
            others = f"as_of <> date '{self._day}'"
            snapshots = self.run["HOLDFAST_SNAPSHOTS"].split()
            export_days(self.warehouse, node, self._folder, condition=others, snapshots=snapshots)
        selected = [*nodes.values(), *self._find_missing(nodes)]
        built = call_spark(
            self.deployment, self._folder, name_nodes(selected), run=self.run,
            master=settings.spark_master, memory=settings.spark_memory, stages=Stages(),
        )  # fmt: skip
        if not any(each.status in BROKEN for each in built.nodes):
            tables = [node for node in models if not _is_view(node)]
            take_over(self.warehouse, self._folder, tables, built.columns)
            self._show_compiled(tables)
            self._folder.made_from.write_text(self._made_from)
        return [each for each in built.nodes if each.unique_id in nodes or each.status in BROKEN]

    def _show_compiled(self, nodes: Sequence[Node]) -> None:
        """Put the SQL that ran next to that of the warehouse's own dbt, where the lineage of columns is read from."""
        ours, theirs = (target / "compiled" for target in (self.dbt.target, self._folder.path / "dbt" / "target"))
        for node in nodes:
            file = ours / node["package_name"] / node["original_file_path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(theirs / file.relative_to(ours), file)

    def _prepare(self) -> None:
        """Go on with the tables that an earlier step of the run left, anew where anything has changed since."""
        made_from = self._folder.made_from
        if not made_from.exists() or made_from.read_text() != self._made_from:
            self._folder.clear()
            export_inputs(self.warehouse, self.dbt.manifest, self._all, self._folder)
        self._folder.made_from.unlink(missing_ok=True)  # until all of it stands

    def _find_missing(self, nodes: Collection[str]) -> Iterator[Node]:
        """Yield what `nodes` rest on and no table is there for, such as every view: they end with the session."""
        found, pending = set(nodes), list(nodes)
        while pending:
            for name in self._nodes[pending.pop()]["depends_on"]["nodes"]:
                if name in self._nodes and name not in found and not self._folder.holds(name_table(self._nodes[name])):
                    found.add(name)
                    pending.append(name)
                    yield self._nodes[name]

    @cached_property
    def _made_from(self) -> str:
        """A digest of the run, of the project and of every row that Spark is handed."""
        inputs = digest_inputs(self.warehouse, self.dbt.manifest, self._all)
        given = [sorted(self.run.items()), self.dbt.inputs, inputs]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest()

    @property
    def _all(self) -> list[str]:
        models = ((key, node) for key, node in self._nodes.items() if node["resource_type"] == "model")
        return [key for key, node in models if self._is_moved(node)]

    @property
    def _nodes(self) -> Mapping[str, Any]:
        nodes: Mapping[str, Any] = self.dbt.manifest["nodes"]
        return nodes

    @property
    def _day(self) -> str:
        return self.run["HOLDFAST_AS_OF"]

    @property
    def _folder(self) -> SparkFolder:
        return SparkFolder(path=self.deployment.settings.spark_folder)


def _order(results: Iterable[NodeResult], nodes: Collection[Node]) -> list[NodeResult]:
    """Return results of a step, those of a node behind those of all that it rests on, as dbt builds them."""
    parents = {node["unique_id"]: node["depends_on"]["nodes"] for node in nodes}
    places = {name: place for place, name in enumerate(TopologicalSorter(parents).static_order())}
    return sorted(results, key=lambda each: places.get(each.unique_id, -1))


def _is_view(node: Node) -> bool:
    return bool(node["config"]["materialized"] == "view")
