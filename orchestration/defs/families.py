"""Families of indicators: what each counts by the policy, and a score of each for every customer."""

from collections.abc import Iterator, Mapping
from datetime import date

import dagster as dg
import pyarrow as pa

from company.taxonomy import Family
from orchestration.deployment import Deployment
from orchestration.gates import require_passed
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.store.store import Store

SCORES, WEIGHTS = "signals.family_scores", "signals.family_weights"
OF_DAY = (
    "select as_of, customer_id, {columns} from features.customer_features where as_of = $as_of order by customer_id"
)
LABELLED = """
    select cast(churned as integer) as churned, {columns}
    from features.labelled_snapshots
    where churned is not null and label_until <= $as_of
    order by as_of desc, customer_id
    limit {most}
"""
MOST_LABELLED = 20_000  # of the latest
SCHEMA = pa.schema(
    [
        *(("as_of", pa.date32()), ("family", pa.string()), ("weighting", pa.string())),
        *(("weight", pa.float64()), ("spread", pa.float64()), ("has_agreed", pa.bool_())),
    ]
)


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.split("."),
        deps=[["features", "customer_features"], ["features", "labelled_snapshots"]],
        group_name="signals",
        owners=["team:data-science"],
        kinds={"duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    specs=[
        _spec(
            SCORES,
            "One row per customer and family of indicators of which something is known: 0 to 100, of the latest day.",
        ),
        _spec(WEIGHTS, "One row per as_of and family of indicators: what it counts, and how far a panel is apart."),
    ],
    name="families",
)
def families(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> Iterator[dg.MaterializeResult[None]]:
    """Score every family of each customer, and weigh the families."""
    from ml.cold_start.families import score_families, tabulate_scores

    as_of, signals = read_as_of(context), deployment.policy.cold_start.signals
    require_passed(warehouse, store, "features", as_of=as_of)
    rows = warehouse.read(OF_DAY.format(columns=_list_columns(deployment)), {"as_of": as_of})
    scores = score_families(rows, signals, read_families(deployment))
    warehouse.replace(SCORES, tabulate_scores(rows, scores))
    warehouse.replace_day(WEIGHTS, weigh(deployment, warehouse, as_of), as_of=as_of)
    for table in (SCORES, WEIGHTS):
        shown = describe_table(warehouse, table, as_of=as_of) | {"weighting": deployment.policy.families.weighting}
        yield dg.MaterializeResult(asset_key=table.split("."), metadata=shown)


def weigh(deployment: Deployment, warehouse: Warehouse, as_of: date) -> pa.Table:
    """Return what each family counts, 1 on average."""
    from ml.cold_start.families import weigh_families

    rules = deployment.policy.families
    shown = learn_from_outcomes(deployment, warehouse, as_of) if rules.weighting == "data" else None
    found = weigh_families(rules, shown=shown)
    rows = [
        {
            "as_of": as_of,
            "family": family,
            "weighting": rules.weighting,
            "weight": weight,
            "spread": found.spread.get(family),
            "has_agreed": found.spread[family] <= rules.agreed_within if family in found.spread else None,
        }
        for family, weight in found.weights.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def learn_from_outcomes(deployment: Deployment, warehouse: Warehouse, as_of: date) -> dict[Family, float]:
    """Return the weights that what became of customers shows."""
    from ml.cold_start.families import learn_weights, score_families

    query = LABELLED.format(columns=_list_columns(deployment), most=MOST_LABELLED)
    rows = warehouse.read(query, {"as_of": as_of})
    scores = score_families(rows, deployment.policy.cold_start.signals, read_families(deployment))
    return learn_weights(pa.table(dict(scores)), rows["churned"].to_numpy().astype(float))


def read_families(deployment: Deployment) -> dict[str, Family]:
    """Return the family of each declared feature."""
    return {feature.name: feature.family for feature in deployment.features}  # type: ignore[misc]  # text of a manifest


def read_weights(warehouse: Warehouse, as_of: date) -> Mapping[Family, float]:
    """Return what each family counts on a day."""
    rows = warehouse.read(f"select family, weight from {WEIGHTS} where as_of = $as_of", {"as_of": as_of}).to_pylist()
    return {row["family"]: row["weight"] for row in rows}


def _list_columns(deployment: Deployment) -> str:
    """Return the features that signals look at and that there are, with commas between."""
    declared = read_families(deployment)
    asked = dict.fromkeys(signal.feature for signal in deployment.policy.cold_start.signals)
    return ", ".join(name for name in asked if name in declared)
