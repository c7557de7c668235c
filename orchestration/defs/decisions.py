"""From scores to recorded actions: alerts, one plan under one budget, the outbox, and the ledger read back."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd

from orchestration.deployment import Deployment
from orchestration.gates import judge, require_passed
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.acting.alerts import raise_alerts
from retention.acting.channels import Channel
from retention.acting.dispatch import dispatch
from retention.deciding.plan import HOLDOUT, TREATED, plan
from retention.deciding.strategy_changes import adjust
from retention.deciding.tiers import NONE
from retention.store.frames import to_arrow
from retention.store.store import Store

OWNER = "team:retention"
CANDIDATES = "select * from decisions.candidates where as_of = $as_of order by customer_id"


@dg.asset(
    key=["retention", "alerts"],
    deps=[["scores", "churn_scores"], ["scores", "churn_reasons"], ["decisions", "candidates"]],
    group_name="retention",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def alerts(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per customer at risk and as_of: why, who answers and by when, the most money at risk first."""
    as_of = read_as_of(context)
    require_passed(warehouse, store, "scores", as_of=as_of)
    raised = raise_alerts(warehouse.read(CANDIDATES, {"as_of": as_of}).to_pandas(), deployment.policy)
    new = store.alerts.record(raised, at=_now())
    warehouse.replace_day("retention.alerts", to_arrow(raised), as_of=as_of)
    levels = {f"level_{level}": int(count) for level, count in raised["level"].value_counts().items()}
    money = float(raised["money_at_risk"].sum())
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, "retention.alerts", as_of=as_of)
        | round_figures({"new": new, "money_at_risk": money, **levels})
    )


@dg.asset(
    key=["retention", "plans"],
    deps=[["retention", "alerts"]],
    group_name="retention",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def plans(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per customer at risk and as_of: treated, held out or left alone, with the reason. Frozen once sent."""
    as_of = read_as_of(context)
    decided = store.plans.read(as_of) if store.plans.has(as_of) else _decide(warehouse, store, deployment, as_of)
    warehouse.replace_day("retention.plans", to_arrow(decided), as_of=as_of)
    arms = {str(arm): int(count) for arm, count in decided["arm"].value_counts().items()}
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, "retention.plans", as_of=as_of)
        | round_figures({"cost": float(decided["cost"].sum()), **arms})
    )


def _decide(warehouse: Warehouse, store: Store, deployment: Deployment, as_of: date) -> pd.DataFrame:
    candidates = warehouse.read(CANDIDATES, {"as_of": as_of}).to_pandas()
    return plan(
        candidates.loc[candidates["level"] != NONE],
        adjust(deployment.strategies, store.strategy_changes.read(), as_of=as_of),
        deployment.policy,
        spent=store.ledger.spent(as_of, period=deployment.policy.budget.period),
        recent_contacts=store.ledger.recent_contacts(as_of, days=deployment.policy.cooldown_days),
    )


@dg.asset_check(asset=["retention", "plans"], blocking=True)
def plans_gate(
    context: dg.AssetCheckExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.AssetCheckResult:
    """Stop the pipeline before anything is sent when the plan overspends, treats the held-out or doubles a customer."""
    from expectations.plans import build as build_suites

    as_of = read_as_of(context)
    suites = build_suites(
        as_of=as_of,
        budget=deployment.policy.budget.amount,
        spent_before=store.ledger.spent(as_of, period=deployment.policy.budget.period),
        cooldown_days=deployment.policy.cooldown_days,
        holdout_share=deployment.policy.holdout.share,
        has_ledger=warehouse.has_table("retention.ledger"),
    )
    judgement = judge(warehouse, store, "plans", suites, as_of=as_of, docs=deployment.settings.gates_folder)
    return judgement.result_for(
        ["retention", "plans"], tables=["retention.plans", "retention.ledger"], check="plans_gate"
    )


@dg.asset(
    key=["operational", "outbox"],
    deps=[["retention", "plans"]],
    group_name="retention",
    owners=[OWNER],
    kinds={"sqlalchemy"},
)
def outbox(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
    channels: dg.ResourceParam[Mapping[str, Channel]],
) -> dg.MaterializeResult[None]:
    """One message per treated customer and plan, committed with the plan and sent once, whatever happens in between."""
    as_of = read_as_of(context)
    require_passed(warehouse, store, "plans", as_of=as_of)
    decided = warehouse.read("select * from retention.plans where as_of = $as_of order by rank", {"as_of": as_of})
    strategies = adjust(deployment.strategies, store.strategy_changes.read(), as_of=as_of, with_paused=True)
    committed = store.plans.commit(as_of, decided.to_pandas(), strategies=strategies, at=_now())
    report = dispatch(store.outbox, channels, at=_now(), delivery=deployment.policy.delivery)
    return dg.MaterializeResult(
        metadata={
            "treated": int(committed["arm"].eq(TREATED).sum()),
            "held_out": int(committed["arm"].eq(HOLDOUT).sum()),
            "sent": report.sent,
            "failed": report.failed,
            "uncertain": report.uncertain,
            "recovered": report.recovered,
        }
    )


@dg.asset(
    key=["retention", "ledger"],
    deps=[["operational", "outbox"]],
    group_name="retention",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def ledger(warehouse: dg.ResourceParam[Warehouse], store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
    """One row per decision or delivery ever recorded: the operational ledger, read back into the warehouse."""
    warehouse.replace("retention.ledger", to_arrow(store.ledger.read()))
    return dg.MaterializeResult(metadata=describe_table(warehouse, "retention.ledger"))


def _now() -> datetime:
    return datetime.now(UTC)
