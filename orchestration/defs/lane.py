"""The event lane as Dagster sees it: what it had made of customers against the night, and whether it is alive."""

import dagster as dg

from company.company_file import Company
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.sending import now
from orchestration.warehouse import Warehouse
from retention.store.frames import to_arrow
from retention.store.store import Store
from serving.lane.log import POSITION

NIGHTS = "monitoring.lane_nights"
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
    warehouse.replace(NIGHTS, to_arrow(store.lane.read_nights()))
    return dg.MaterializeResult(metadata=describe_table(warehouse, NIGHTS))


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
