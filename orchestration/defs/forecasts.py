"""What each customer will bring: learned once a month from spans that are over, forecast every night."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from ml.registry import ForecastModels, Registry
from orchestration.deployment import Deployment
from orchestration.gates import require_passed
from orchestration.metadata import describe_table, link_version, round_figures, write_table
from orchestration.partitions import TRAINING, read_as_of
from orchestration.warehouse import Warehouse
from retention.store.store import Store

if TYPE_CHECKING:
    from ml.forecasting.customer_value import ValueModels

MODELS, VALUES, PURCHASES = "monitoring.forecast_models", "forecasts.customer_value", "forecasts.next_purchases"
SNAPSHOTS = ["features", "value_snapshots"]
OWNER = "team:data-science"
# what forecasters read of features.value_snapshots next to the features
PACES = ("yearly_orders", "yearly_purchases", "yearly_fees")
HISTORY = (
    "count_orders_total",
    "count_orders_365d",
    "days_since_first_order",
    "recency_days",
    "days_since_first_contract",
)
MOST_ROWS = 40_000  # read to learn from: customers are drawn by a hash
PARTS = 1_000_000
KNOWN = "select count(*) from features.customer_features where as_of <= $until"
OUTCOMES = "select columns('^(orders|revenue|until)_\\d+m$') from features.value_snapshots limit 0"
LEARNED = """
    select as_of, customer_id, {columns} from features.value_snapshots
    where until_3m <= $until and hash(customer_id, $seed) % {parts} < $part
    order by as_of, customer_id
"""
WAITED = f"""
    select as_of, customer_id, recency_days, median_gap_days, known_until, next_order_date
    from features.value_snapshots
    where until_3m <= $as_of and hash(customer_id, $seed) % {PARTS} < $part
"""
PROSPECTS = "select * from features.purchase_prospects where as_of = $as_of order by customer_id"
PRESENT = "select as_of, customer_id, {columns} from features.value_snapshots where as_of = $as_of order by customer_id"
SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("horizon_months", pa.int64()),
        ("target", pa.string()),
        ("candidate", pa.string()),
        ("deviance", pa.float64()),
        ("mae", pa.float64()),
        ("sum_ratio", pa.float64()),
        ("top_share", pa.float64()),
        ("is_chosen", pa.bool_()),
        ("validated_on", pa.string()),
        ("count_rows", pa.int64()),
        ("model_version", pa.string()),
    ]
)


@dg.asset(
    key=MODELS.split("."),
    deps=[
        dg.AssetDep(
            SNAPSHOTS,
            partition_mapping=dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True),
        )
    ],
    group_name=TRAINING,
    owners=[OWNER],
    kinds={"xgboost", "mlflow", "table"},
)
def forecast_models(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
) -> dg.MaterializeResult[None]:
    """One row per as_of, span, target and way to forecast: how it did on customers or spans it had not seen."""
    from ml.forecasting.customer_value import describe

    as_of = read_as_of(context)
    models = learn_from_snapshots(deployment, warehouse, until=as_of)
    rows, version = describe(models), None
    if models.models:
        figures = {
            f"{row['target']}_{row['horizon_months']}m.{row['candidate']}.{name}": row[name]
            for row in rows
            for name in ("deviance", "mae", "sum_ratio", "top_share")
        }
        version = ForecastModels.next_to(registry).add(
            models, as_of=as_of.isoformat(), figures=figures, name=f"value {as_of}"
        )
    table = pa.Table.from_pylist([{**row, "as_of": as_of, "model_version": version} for row in rows], schema=SCHEMA)
    warehouse.replace_day(MODELS, table, as_of=as_of)
    return dg.MaterializeResult(
        metadata={
            **describe_table(warehouse, MODELS, as_of=as_of),
            "chosen": write_table([row for row in rows if row["is_chosen"]]),
            "unknown": "; ".join(models.unknown.values()) or "none",
        }
    )


def learn_from_snapshots(deployment: Deployment, warehouse: Warehouse, *, until: date) -> "ValueModels":
    """Return what the spans teach that had ended by the day `until`."""
    from ml.forecasting.customer_value import learn_values

    features, seed = name_features(deployment), deployment.policy.training.seed
    outcomes = warehouse.read(OUTCOMES).column_names
    query = LEARNED.format(columns=", ".join(_unique([*features, *PACES, *HISTORY, *outcomes])), parts=PARTS)
    rows = warehouse.read(query, {"until": until, "seed": seed, "part": _draw(warehouse, until)})
    return learn_values(rows, features=features, until=until, seed=seed)


def name_features(deployment: Deployment) -> list[str]:
    """Return the features that may be learned from."""
    return [each.name for each in deployment.features if each.name not in deployment.policy.fairness.protected]


def _draw(warehouse: Warehouse, until: date) -> int:
    """Return how many of the parts of customers are read, so that there are not too many rows."""
    return int(PARTS * min(1.0, MOST_ROWS / max(warehouse.read_value(KNOWN, {"until": until}), 1)))


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


@dg.asset(
    key=VALUES.split("."),
    deps=[SNAPSHOTS, ["features", "customer_features"]],  # the gate is on the features
    group_name="forecasts",
    owners=[OWNER],
    kinds={"xgboost", "mlflow", "duckdb", "table"},
)
def customer_value(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
    registry: dg.ResourceParam[Registry],
) -> dg.MaterializeResult[None]:
    """One row per as_of, customer and span of 3, 6 and 12 months: orders and revenue to expect, with an interval."""
    from ml.forecasting.customer_value import SCHEMA as VALUE_SCHEMA
    from ml.forecasting.customer_value import forecast_values

    as_of = read_as_of(context)
    require_passed(warehouse, store, "features", as_of=as_of)
    known = ForecastModels.next_to(registry).known_by(as_of.isoformat())
    if known is None:
        warehouse.replace_day(VALUES, VALUE_SCHEMA.empty_table(), as_of=as_of)
        return dg.MaterializeResult(metadata={"state": "no span of 3 months was over when it was last learned"})
    version, models = known
    columns = ", ".join(_unique([*name_features(deployment), *PACES, *HISTORY]))
    rows = warehouse.read(PRESENT.format(columns=columns), {"as_of": as_of})
    found = forecast_values(models, rows, as_of=as_of)
    if deployment.policy.clv.orders_are_bills:
        found = found.set_column(
            VALUE_SCHEMA.get_field_index("expected_orders"), VALUE_SCHEMA.field("expected_orders"),
            pa.nulls(found.num_rows, pa.float64()),
        )  # fmt: skip
    warehouse.replace_day(VALUES, found, as_of=as_of)
    sums = found.group_by("horizon_months").aggregate([("expected_revenue", "sum")]).to_pylist()
    return dg.MaterializeResult(
        metadata={
            **describe_table(warehouse, VALUES, as_of=as_of),
            **round_figures(
                {f"revenue_in_{row['horizon_months']}_months": row["expected_revenue_sum"] for row in sums}
            ),
            "model_version": version,
            **link_version(ForecastModels.next_to(registry), deployment.settings.registry_url, version),
        }
    )


@dg.asset(
    key=PURCHASES.split("."),
    deps=[SNAPSHOTS, ["features", "purchase_prospects"], ["features", "customer_features"]],
    group_name="forecasts",
    owners=[OWNER],
    kinds={"python", "duckdb", "table"},
)
def next_purchases(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per as_of and customer: when they buy next, what they usually buy, and what they could buy as well."""
    from ml.forecasting.next_purchase import SCHEMA as PURCHASE_SCHEMA
    from ml.forecasting.next_purchase import forecast_purchases, learn_waits

    as_of, seed = read_as_of(context), deployment.policy.training.seed
    require_passed(warehouse, store, "features", as_of=as_of)
    if deployment.policy.clv.orders_are_bills:  # a bill is no purchase
        warehouse.replace_day(PURCHASES, PURCHASE_SCHEMA.empty_table(), as_of=as_of)
        return dg.MaterializeResult(metadata={"state": "orders are bills of contracts, which nobody decides on"})
    history = warehouse.read(WAITED, {"as_of": as_of, "seed": seed, "part": _draw(warehouse, as_of)})
    waits = learn_waits(history, until=as_of)
    found = forecast_purchases(waits, warehouse.read(PROSPECTS, {"as_of": as_of}), as_of=as_of)
    warehouse.replace_day(PURCHASES, found, as_of=as_of)
    dated = found.num_rows - found.column("next_order_date").null_count
    return dg.MaterializeResult(
        metadata={**describe_table(warehouse, PURCHASES, as_of=as_of), "customers_with_a_date": dated}
    )
