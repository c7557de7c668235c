"""dbt models as Dagster assets, their tests as checks, and the call that builds them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from ingestion.identity.records import has_evidence
from orchestration.builds import FinishedBuild
from orchestration.column_lineage import ColumnLineage
from orchestration.dbt import BROKEN, BUILT, PASSED, Dbt, NodeResult, name_nodes
from orchestration.deployment import Deployment
from orchestration.engines import SPARK
from orchestration.metadata import describe_rows
from orchestration.warehouse import Warehouse

OWNER = "team:data"
VIEWS = {"training", "decisions"}  # folders of views: made with the features, they read what stands when they are read
WRITTEN_BY_LANDING = "ingestion"  # what comes with the raw tables, for which staging waits


@dataclass(frozen=True)
class Models:
    """The models of some folders of the dbt project: an asset each, and a check for each of their tests."""

    specs: Sequence[dg.AssetSpec]
    checks: Sequence[dg.AssetCheckSpec]


def describe_models(deployment: Deployment, folders: Collection[str]) -> Models:
    """Return assets and checks of the models that lie in `folders` below `dbt_project/models`."""
    nodes = deployment.dbt.manifest["nodes"]
    models = {
        key: node
        for key, node in nodes.items()
        if node["resource_type"] == "model" and node["path"].split("/")[0] in folders
    }
    tests = [node for node in nodes.values() if node["resource_type"] == "test" and node["attached_node"] in models]
    return Models(
        specs=[_describe_model(deployment, node) for node in models.values()],
        checks=[_describe_test(deployment, test) for test in tests],
    )


def build_models(
    context: dg.AssetExecutionContext,
    deployment: Deployment,
    dbt: Dbt,
    warehouse: Warehouse,
    *,
    run: Mapping[str, str],
) -> Iterator[Any]:
    """Build the models and run the tests that a step selects; yield their events, then raise where one broke.

    What stands as it was built from the same code, day and rows is not built again; its events say so.
    """
    nodes = dbt.manifest["nodes"]
    keys = context.selected_asset_keys | context.selected_asset_check_keys
    selected = {node["unique_id"]: node for node in nodes.values() if _find_key(nodes, node) in keys}
    finished = FinishedBuild(
        step=context.op_def.name,
        warehouse=warehouse,
        dbt=dbt,
        run=run,
        nodes=selected.keys(),
        later=[name for name, node in selected.items() if _is_view_made_early(nodes, node)],
    )
    stood = finished.find()
    results = stood or _build(deployment, dbt, warehouse, selected.values(), run=run)
    broken = [f"{each.unique_id.split('.')[2]}: {each.message}" for each in results if each.status in BROKEN]
    if not stood and not broken:
        finished.remember(results)
    built = [selected[each.unique_id] for each in results if each.status == BUILT and each.unique_id in selected]
    rows = describe_rows(warehouse, [_name(node) for node in built if _materialize(node) == "table"])
    lineage = ColumnLineage(dbt=dbt, warehouse=warehouse).read(built)
    for result in results:
        node = selected.get(result.unique_id)
        if node is None:  # a hook of the project
            continue
        if node["resource_type"] == "test":
            yield _report_test(result, node, nodes[node["attached_node"]])
        elif result.status == BUILT:
            told = {"seconds": round(result.seconds, 2), "unchanged": bool(stood)}
            shown = {**rows.get(_name(node), {}), **lineage.get(result.unique_id, {}), **told}
            yield dg.MaterializeResult(asset_key=_key(node), metadata=shown)
    if broken:
        raise dg.Failure("; ".join(broken))


def _build(
    deployment: Deployment,
    dbt: Dbt,
    warehouse: Warehouse,
    nodes: Collection[Mapping[str, Any]],
    *,
    run: Mapping[str, str],
) -> list[NodeResult]:
    if deployment.settings.models_on == SPARK:
        from orchestration.spark.models import SparkModels

        return SparkModels(deployment=deployment, dbt=dbt, warehouse=warehouse, run=run).build(nodes)
    warehouse.release()  # dbt opens the file in a process of its own
    return dbt.build(name_nodes(nodes), run=run)


def _is_view_made_early(nodes: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Tell whether a node is, or tests, a view over what later steps write."""
    model = nodes[node["attached_node"]] if node["resource_type"] == "test" else node
    return model["path"].split("/")[0] in VIEWS


def _find_key(nodes: Mapping[str, Any], node: Mapping[str, Any]) -> dg.AssetKey | dg.AssetCheckKey:
    """Return the key under which Dagster knows a node: a model's, or that of the check on a test's model."""
    is_test = node["resource_type"] == "test"
    return dg.AssetCheckKey(_key(nodes[node["attached_node"]]), node["name"]) if is_test else _key(node)


def _key(node: Mapping[str, Any]) -> dg.AssetKey:
    return dg.AssetKey([node["schema"], node["name"]])


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['schema']}.{node['name']}"


def _materialize(node: Mapping[str, Any]) -> str:
    return "view" if node["config"]["materialized"] == "view" else "table"


def _describe_model(deployment: Deployment, node: Mapping[str, Any]) -> dg.AssetSpec:
    manifest = deployment.dbt.manifest
    known = {**manifest["nodes"], **manifest["sources"]}
    parents = [known[key] for key in node["depends_on"]["nodes"] if known[key]["schema"] != WRITTEN_BY_LANDING]
    is_view_made_early = node["path"].split("/")[0] in VIEWS
    if is_view_made_early:
        parents = [parent for parent in parents if parent["resource_type"] != "source"]
    page = f"{deployment.settings.docs_url}#!/model/{node['unique_id']}"
    columns = [
        dg.TableColumn(name, type=column["data_type"] or "?", description=column["description"])
        for name, column in node["columns"].items()
    ]
    return dg.AssetSpec(
        key=_key(node),
        deps=[*map(_key, parents), *_list_further_deps(deployment, node)],
        description=node["description"],
        metadata={
            "dbt_docs": dg.MetadataValue.url(page),
            "dagster/table_name": _name(node),
            **({"dagster/column_schema": dg.TableSchema(columns=columns)} if columns else {}),
        },
        skippable=True,
        group_name="features" if is_view_made_early else node["schema"],
        code_version=node["checksum"]["checksum"],
        owners=[OWNER],
        kinds={"dbt", "duckdb", _materialize(node)},
    )


def _list_further_deps(deployment: Deployment, node: Mapping[str, Any]) -> list[dg.AssetDep]:
    """Return what a model waits for that dbt does not know: raw tables, identities, and the verdict on the view."""
    company = deployment.company
    if node["schema"] in {"staging", "bookkeeping"}:
        feeds, model = company.feeds(), str(node["name"])
        tables = [model.removeprefix("stg_")] if model.startswith("stg_") else list(feeds)
        raw = [dg.AssetDep([schema, table]) for table in tables for schema in feeds.get(table, [])]
        return [*raw, dg.AssetDep(["identity", "members"])] if has_evidence(company) else raw
    return [dg.AssetDep(["customer_360", "customers"])] if node["schema"] == "features" else []


def _describe_test(deployment: Deployment, test: Mapping[str, Any]) -> dg.AssetCheckSpec:
    nodes = deployment.dbt.manifest["nodes"]
    others = [key for key in test["depends_on"]["nodes"] if key != test["attached_node"]]
    return dg.AssetCheckSpec(
        name=test["name"],
        asset=_key(nodes[test["attached_node"]]),
        additional_deps=[_key(nodes[key]) for key in others],
        description=test["description"] or None,
        blocking=test["config"]["severity"].lower() == "error",
    )


def _report_test(result: NodeResult, test: Mapping[str, Any], model: Mapping[str, Any]) -> dg.AssetCheckResult:
    is_warning = test["config"]["severity"].lower() == "warn"
    return dg.AssetCheckResult(
        asset_key=_key(model),
        check_name=test["name"],
        passed=result.status == PASSED,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=result.message or None,
        metadata={"failures": result.failures or 0, "seconds": round(result.seconds, 2)},
    )
