"""What became of alerts, and whether the alert system is right, in time, answered, and worth its cost."""

import dagster as dg

from company.policy import Policy
from company.policy.units import LEVELS
from orchestration.defs.money import type_table
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.warehouse import Warehouse
from retention.measuring.alert_system import assess_alerts
from retention.store import frames
from retention.store.frames import to_arrow
from retention.store.store import Store

ANSWERS, SYSTEM = "retention.alert_answers", "outcomes.alert_system"
OUTCOMES = "select * from outcomes.alert_outcomes order by alert_id"


@dg.asset(
    key=ANSWERS.split("."),
    deps=[["retention", "incidents"]],
    group_name="retention",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def alert_answers(warehouse: dg.ResourceParam[Warehouse], store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
    """One row per alert that was recorded: who answered and when, whether that was late, and the feedback."""
    answers = store.alerts.read_answers()
    warehouse.replace(ANSWERS, to_arrow(answers, frames.ANSWERS))
    counts = {"answered": int(answers["answered_at"].notna().sum()), "missed": int(answers["is_missed"].sum())}
    return dg.MaterializeResult(metadata={**describe_table(warehouse, ANSWERS), **counts})


@dg.asset(
    key=SYSTEM.split("."),
    deps=[["outcomes", "alert_outcomes"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def alert_system(
    deployment: dg.ResourceParam[Deployment], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult[None]:
    """One row per week or month and alert level: raised, right, ahead, answered, missed, cost and benefit."""
    policy = deployment.policy
    alerts = warehouse.read(OUTCOMES).to_pandas()
    found = assess_alerts(alerts, _cost_of_levels(policy), confidence=policy.outcomes.confidence)
    warehouse.replace(SYSTEM, type_table(found))
    return dg.MaterializeResult(metadata=describe_table(warehouse, SYSTEM))


def _cost_of_levels(policy: Policy) -> dict[str, float]:
    return {level: policy.contact_costs[policy.cutoffs.channels[level]] for level in LEVELS}
