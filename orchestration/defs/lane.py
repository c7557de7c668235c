"""The event lane as Dagster sees it: what it had made of customers against the night, and whether it is alive."""

import json
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from company.company_file import Company
from company.policy.lane import declared_weights
from ml.lane_delta import calibrate, lay_out, learn_weights
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.sending import now
from orchestration.warehouse import Warehouse
from retention.store import frames
from retention.store.frames import to_arrow
from retention.store.store import Store
from serving.lane.log import POSITION

if TYPE_CHECKING:
    import pandas as pd

NIGHTS, WEIGHTS = "monitoring.lane_nights", "monitoring.lane_weights"
CALIBRATION = "monitoring.lane_calibration"
WEIGHTS_SCHEMA = pa.schema([
    ("as_of", pa.date32()), ("lane_feature", pa.string()), ("lane_weight", pa.float64()),
    ("declared_weight", pa.float64()), ("weight_error", pa.float64()), ("count_customers", pa.int64()),
    ("weight_state", pa.string()),
])  # fmt: skip
CALIBRATION_SCHEMA = pa.schema([
    ("as_of", pa.date32()), ("delta_group", pa.int64()), ("count_customers", pa.int64()), ("mean_delta", pa.float64()),
    ("mean_change", pa.float64()), ("slope", pa.float64()),
])  # fmt: skip
LOGGED = "events"  # the canonical table in which the lane's log lands
MOVED = ("raised", "lowered")


def note_landed(company: Company, warehouse: Warehouse, store: Store) -> None:
    """Record how far the lane's log has landed, so that the lane may forget what is older."""
    for feed in company.tables[LOGGED]:
        if feed.incremental == POSITION:
            query = "select cursor from ingestion.landings where source = $source and table_name = $table"
            cursor = warehouse.read_value(query, {"source": feed.source, "table": LOGGED})
            store.lane.record_landed(int(cursor or 0), at=now())


@dg.asset(
    key=NIGHTS.split("."),
    deps=[["retention", "alerts"]],
    group_name="monitoring",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def lane_nights(warehouse: dg.ResourceParam[Warehouse], store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
    """One row per night and group of customers: what the event lane had made of their risk, and what the night did.

    The lane records it when it takes up a published night, so that the newest row is of the night before.
    """
    warehouse.replace(NIGHTS, to_arrow(store.lane.read_nights(), frames.NIGHTS))
    return dg.MaterializeResult(metadata=describe_table(warehouse, NIGHTS))


@dg.asset(
    key=WEIGHTS.split("."),
    deps=[NIGHTS.split(".")],
    group_name="monitoring",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def lane_weights(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per as_of and feature of the event lane: the log-odds that it adds, learned from nights or declared.

    The lane takes them up with the night that publishes them.
    """
    as_of, lane = read_as_of(context), deployment.policy.lane
    lessons, declared = read_lessons(store, upto=as_of), declared_weights(lane)
    weights = learn_weights(lessons, declared, lane.learning)
    rows = {
        "as_of": [as_of] * len(declared), "lane_feature": list(declared), "lane_weight": weights.log_odds,
        "declared_weight": list(declared.values()), "weight_error": weights.errors,
        "count_customers": lay_out(lessons["features"].tolist(), weights.names).astype(bool).sum(axis=0),
        "weight_state": [weights.state] * len(declared),
    }  # fmt: skip
    warehouse.replace_day(WEIGHTS, pa.table(rows, schema=WEIGHTS_SCHEMA), as_of=as_of)
    counts = {"nights": int(lessons["as_of"].nunique()), "customers": len(lessons)}
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, WEIGHTS, as_of=as_of) | {"state": weights.state, **counts, **weights.losses}
    )


@dg.asset(
    key=CALIBRATION.split("."),
    deps=[NIGHTS.split(".")],
    group_name="monitoring",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def lane_calibration(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], store: dg.ResourceParam[Store]
) -> dg.MaterializeResult[None]:
    """One row per night and group of the event lane's delta: how far it moved the log-odds, and how far the night did.

    The five groups are of equally many customers. `slope` is the night's change per unit of delta; 1 is calibrated.
    """
    found = calibrate(read_lessons(store, upto=read_as_of(context)))
    warehouse.replace(CALIBRATION, pa.Table.from_pandas(found, schema=CALIBRATION_SCHEMA, preserve_index=False))
    return dg.MaterializeResult(metadata=describe_table(warehouse, CALIBRATION))


def read_lessons(store: Store, *, upto: date) -> "pd.DataFrame":
    """Return the lessons of nights up to a day, with what was seen as `features`."""
    lessons = store.lane.read_lessons(upto=upto)
    return lessons.assign(features=[json.loads(text) for text in lessons["lane_features"]])


@dg.asset_check(asset=CALIBRATION.split("."))
def lane_delta_is_calibrated(
    deployment: dg.ResourceParam[Deployment], warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Warn where the night changed risks far more, or far less, than the lane had for what it saw."""
    learning = deployment.policy.lane.learning
    slope = warehouse.read_value(f"select slope from {CALIBRATION} order by as_of desc limit 1")
    return dg.AssetCheckResult(
        passed=slope is None or learning.least_slope <= slope <= learning.most_slope,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "slope": "unknown" if slope is None else round(slope, 3),
            "bounds": f"{learning.least_slope} to {learning.most_slope}",
            "fix": "Below 1 the weights of lane.signals are too high, above it too low; they are learned once enough "
            "nights are known (lane.learning).",
        },
    )


@dg.asset_check(asset=NIGHTS.split("."))
def lane_agrees_with_the_night(
    deployment: dg.ResourceParam[Deployment], store: dg.ResourceParam[Store]
) -> dg.AssetCheckResult:
    """Warn where the lane's risk of those it moved lies further from the night's than the policy allows."""
    nights, most = store.lane.read_nights(), deployment.policy.lane.most_gap
    latest = nights.loc[(nights["as_of"] == nights["as_of"].max()) & nights["group_name"].isin(MOVED)]
    gaps = {row["group_name"]: round(float(row["log_odds_gap"]), 3) for row in latest.to_dict("records")}
    return dg.AssetCheckResult(
        passed=all(abs(gap) <= most for gap in gaps.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            **gaps,
            "bound": most,
            "fix": "Lower the weights of lane.signals in the policy where the gap is above 0.",
        },
    )


@dg.asset_check(asset=NIGHTS.split("."))
def lane_is_alive(deployment: dg.ResourceParam[Deployment], store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """Warn where the lane has run here and shows no sign of life."""
    progress = store.lane.read()
    if progress is None:
        return dg.AssetCheckResult(passed=True, metadata={"state": "has never run; start it with `holdfast lane`"})
    silent = (now() - progress["beat_at"]).total_seconds()
    return dg.AssetCheckResult(
        passed=silent <= deployment.policy.lane.silent_after_seconds,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "seconds_silent": round(silent),
            "waiting": progress["log_position"] - progress["position"],
            "landed_up_to": store.lane.read_landed(),
            "alert_p50_ms": progress["alert_p50_ms"] or 0.0,
            "alert_p99_ms": progress["alert_p99_ms"] or 0.0,
        },
    )
