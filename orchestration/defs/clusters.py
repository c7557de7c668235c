"""Behaviour clusters of the customers in the population: learned once a month, followed every day."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from orchestration.deployment import Deployment
from orchestration.gates import require_passed
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.store.store import Store

if TYPE_CHECKING:
    from ml.clusters import Cluster

MEMBERS, CLUSTERS = "customer_360.customer_clusters", "customer_360.clusters"
SLICE = "select * from features.customer_features where as_of = $as_of and is_eligible order by customer_id"
EARLIER = f"""
    select * from {CLUSTERS} where as_of = (select max(as_of) from {CLUSTERS} where as_of < $as_of) order by cluster_id
"""
SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("cluster_id", pa.int64()),
        ("learned_on", pa.date32()),
        ("count_customers", pa.int64()),
        ("share", pa.float64()),
        ("name_en", pa.string()),
        ("name_zh", pa.string()),
        ("kind", pa.string()),
        ("centre", pa.string()),
    ]
)


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.split("."),
        deps=[["features", "customer_features"]],
        group_name="clusters",
        owners=["team:data-science"],
        kinds={"scikitlearn", "duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    specs=[
        _spec(MEMBERS, "One row per as_of and customer of the population: the behaviour cluster they belong to."),
        _spec(CLUSTERS, "One row per as_of and behaviour cluster: its size, its names in two languages, its centre."),
    ],
    name="customer_clusters",
)
def customer_clusters(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> Iterator[dg.MaterializeResult[None]]:
    """Find the clusters when the month has none yet, else place the customers in those it has."""
    from ml.clusters import assign_clusters, find_clusters

    as_of = read_as_of(context)
    require_passed(warehouse, store, "features", as_of=as_of)
    rows, (learned_on, earlier) = warehouse.read(SLICE, {"as_of": as_of}), read_clusters(warehouse, as_of)
    if earlier and learned_on.replace(day=1) == as_of.replace(day=1):
        found = assign_clusters(rows, deployment.features, clusters=earlier)
    else:
        learned_on = as_of
        found = find_clusters(rows, deployment.features, before=earlier, seed=deployment.policy.training.seed)
    warehouse.replace_day(MEMBERS, found.members, as_of=as_of)
    warehouse.replace_day(CLUSTERS, tabulate(found.clusters, as_of=as_of, learned_on=learned_on), as_of=as_of)
    names = {f"cluster {each.cluster_id}": f"{each.share:.0%}: {each.name_en}" for each in found.clusters}
    yield dg.MaterializeResult(asset_key=MEMBERS.split("."), metadata=describe_table(warehouse, MEMBERS, as_of=as_of))
    shown = describe_table(warehouse, CLUSTERS, as_of=as_of) | (names or {"state": "too few customers"})
    yield dg.MaterializeResult(asset_key=CLUSTERS.split("."), metadata=shown)


def read_clusters(warehouse: Warehouse, as_of: date) -> tuple[date, tuple["Cluster", ...]]:
    """Return the clusters of the last run before `as_of`, and the day on which they were learned."""
    from ml.clusters import Cluster

    rows = warehouse.read(EARLIER, {"as_of": as_of}).to_pylist() if warehouse.has_table(CLUSTERS) else []
    found = tuple(
        Cluster(
            cluster_id=row["cluster_id"],
            centre=json.loads(row["centre"]),
            count_customers=row["count_customers"],
            share=row["share"],
            name_en=row["name_en"],
            name_zh=row["name_zh"],
            kind=row.get("kind"),
        )
        for row in rows
    )
    return rows[0]["learned_on"] if rows else as_of, found


def tabulate(clusters: Sequence["Cluster"], *, as_of: date, learned_on: date) -> pa.Table:
    """Return the clusters as rows, centres as JSON."""
    rows = [
        {
            "as_of": as_of,
            "cluster_id": each.cluster_id,
            "learned_on": learned_on,
            "count_customers": each.count_customers,
            "share": each.share,
            "name_en": each.name_en,
            "name_zh": each.name_zh,
            "kind": each.kind,
            "centre": json.dumps(each.centre, sort_keys=False),
        }
        for each in clusters
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
