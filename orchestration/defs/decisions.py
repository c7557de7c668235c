"""From scores to recorded actions: alerts, one plan under one budget, the outbox, and the ledger read back."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, timedelta

import dagster as dg
import pandas as pd

from orchestration.defs.alerts import read_rules
from orchestration.deployment import Deployment
from orchestration.gates import judge, require_passed
from orchestration.kept_share import read_kept_share
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.sending import company_clock, is_replayed, make_rules, now, prepare_sending, refresh_recipients
from orchestration.warehouse import Warehouse
from retention.acting.alerts import raise_alerts
from retention.acting.channels import Channel
from retention.acting.dispatch import dispatch
from retention.deciding.contact_rules import find_capped
from retention.deciding.feedback import read_second_reasons
from retention.deciding.holdout import period_of
from retention.deciding.plan import CONTROL, HOLDOUT, TREATED, Plan, plan
from retention.deciding.plan_overrides import find_holding
from retention.deciding.strategy_changes import adjust, find_resting
from retention.measuring.lifecycle import keep_active
from retention.store import frames
from retention.store.frames import to_arrow
from retention.store.store import Store

OWNER = "team:retention"
CANDIDATES = "select * from decisions.candidates where as_of = $as_of order by customer_id"

EFFECTS = """
    select * from retention.effects where as_of = (select max(as_of) from retention.effects where as_of < $as_of)"""
PLAN = "select * from retention.plans where as_of = $as_of order by rank"
PRICES = "select * from retention.plan_prices where as_of = $as_of order by resource"


@dg.asset(
    key=["retention", "alerts"],
    deps=[
        ["scores", "churn_scores"],
        ["scores", "churn_reasons"],
        ["decisions", "candidates"],
        ["customer_360", "customer_clusters"],
        ["customer_360", "clusters"],
        ["monitoring", "alert_rules"],
        ["signals", "customer_anomalies"],
        ["forecasts", "customer_value"],
    ],
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
    candidates = warehouse.read(CANDIDATES, {"as_of": as_of}).to_pandas()
    demanded = read_second_reasons(read_rules(warehouse, as_of))
    raised = raise_alerts(candidates, deployment.policy, load=store.alerts.read_load(), second_reasons=demanded)
    new = store.alerts.record(
        raised,
        at=now(),
        quiet=timedelta(days=deployment.policy.desk.quiet_days),
        clock=company_clock(deployment),
        is_replay=is_replayed(context, deployment, as_of),
    )
    warehouse.replace_day("retention.alerts", to_arrow(raised, frames.RAISED), as_of=as_of)
    levels = {f"level_{level}": int(count) for level, count in raised["level"].value_counts().items()}
    money = float(raised["money_at_risk"].sum())
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, "retention.alerts", as_of=as_of)
        | round_figures({"new": new, "money_at_risk": money, **levels})
    )


@dg.multi_asset(
    name="plans",
    specs=[
        dg.AssetSpec(
            key=["retention", name],
            deps=[["retention", "alerts"], ["customer_360", "leavers"]],
            group_name="retention",
            owners=[OWNER],
            kinds={"duckdb", "table"},
            description=description,
        )
        for name, description in (
            ("plans", "One row per candidate and as_of: treated, held out, held back or left alone, with the reason."),
            ("plan_prices", "One row per as_of and limit of the plan: what one more unit of it would bring, in words."),
        )
    ],
)
def plans(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> Iterator[dg.MaterializeResult[None]]:
    """Decide for every candidate under one budget; frozen once sent."""
    as_of = read_as_of(context)
    if store.plans.has(as_of):
        decided = _read_plan(store, as_of)
    else:
        decided = _decide(warehouse, store, deployment, as_of, is_replay=is_replayed(context, deployment, as_of))
    warehouse.replace_day("retention.plans", to_arrow(decided.rows, frames.PLAN), as_of=as_of)
    prices = to_arrow(decided.prices.assign(as_of=as_of), frames.PRICES)
    warehouse.replace_day("retention.plan_prices", prices, as_of=as_of)
    ledger = to_arrow(store.ledger.read(), frames.LEDGER_ENTRIES)  # the gate judges by what has left since
    warehouse.replace("retention.ledger", ledger)
    arms = {str(arm): int(count) for arm, count in decided.rows["arm"].value_counts().items()}
    yield dg.MaterializeResult(
        asset_key=["retention", "plans"],
        metadata=describe_table(warehouse, "retention.plans", as_of=as_of)
        | round_figures({"cost": float(decided.rows["cost"].sum()), **arms}),
    )
    yield dg.MaterializeResult(
        asset_key=["retention", "plan_prices"],
        metadata=describe_table(warehouse, "retention.plan_prices", as_of=as_of),
    )


def _read_plan(store: Store, as_of: date) -> Plan:
    return Plan(rows=store.plans.read(as_of), prices=store.plans.read_prices(as_of))


def _decide(warehouse: Warehouse, store: Store, deployment: Deployment, as_of: date, *, is_replay: bool) -> Plan:
    candidates = warehouse.read(CANDIDATES, {"as_of": as_of}).to_pandas()
    spent_on = store.ledger.spent_on(as_of, period=deployment.policy.budget.period, is_replay=is_replay)
    cooldown, treated = deployment.policy.cooldown_days, store.ledger.read_treated(is_replay=is_replay)
    library = list(keep_active(deployment.strategies, store.strategy_reviews.read(), as_of=as_of))
    assigned = store.assignments.read(as_of, timezone=deployment.company.timezone)
    strategies = adjust(library, store.strategy_changes.read(), as_of=as_of, assigned=assigned)
    longest = max((each.every_days or 0 for each in strategies), default=0)
    last = store.ledger.read_last(as_of, days=max(cooldown, longest), is_replay=is_replay)
    return plan(
        candidates,
        strategies,
        deployment.policy,
        spent=sum(spent_on.values()),
        spent_on=spent_on,
        recent_contacts={customer for (customer, _), days in last.items() if days < cooldown},
        recent_strategies=find_resting(last, strategies, cooldown_days=cooldown),
        effects=_read_effects(warehouse, as_of),
        kept_share=read_kept_share(warehouse, deployment.policy, as_of),
        capped=find_capped(candidates, treated, deployment.policy) if len(candidates) else (),
        overrides=find_holding(store.plan_overrides.read(), as_of=as_of),
    )


def _read_effects(warehouse: Warehouse, as_of: date) -> pd.DataFrame | None:
    """Return what was measured before this day: effects are measured at the end of a night, after its plan."""
    if not warehouse.has_table("retention.effects"):
        return None
    effects: pd.DataFrame = warehouse.read(EFFECTS, {"as_of": as_of}).to_pandas()
    return effects


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
    is_replay = is_replayed(context, deployment, as_of)
    suites = build_suites(
        as_of=as_of,
        budget=deployment.policy.budget.amount,
        spent_before=store.ledger.spent(as_of, period=deployment.policy.budget.period, is_replay=is_replay),
        counts_replays=is_replay,
        cooldown_days=deployment.policy.cooldown_days,
        holdout_share=deployment.policy.holdout.share,
        holdout_since=period_of(deployment.policy.holdout, as_of).since or date.min,
        has_ledger=warehouse.has_table("retention.ledger"),
        capacity=deployment.policy.capacity,
        service=[strategy.id for strategy in deployment.strategies if strategy.purpose == "service"],
    )
    judgement = judge(warehouse, store, "plans", suites, as_of=as_of, docs=deployment.settings.gates_folder)
    return judgement.result_for(
        ["retention", "plans"], tables=["retention.plans", "retention.ledger"], check="plans_gate"
    )


@dg.asset(
    key=["operational", "outbox"],
    deps=[["retention", "plans"], ["retention", "plan_prices"]],
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
    """One message per treated customer and plan, committed with the plan and sent once, whatever happens in between.

    A day that is over is replayed: its messages reach the built-in gateway alone.
    """
    as_of = read_as_of(context)
    require_passed(warehouse, store, "plans", as_of=as_of)
    is_replay = is_replayed(context, deployment, as_of)
    replayed_at = make_rules(deployment).replayed_at(as_of) if is_replay else None
    decided, prices = (warehouse.read(query, {"as_of": as_of}).to_pandas() for query in (PLAN, PRICES))
    assigned = store.assignments.read(as_of, timezone=deployment.company.timezone)
    strategies = adjust(
        deployment.strategies, store.strategy_changes.read(), as_of=as_of, with_paused=True, assigned=assigned
    )
    committed = store.plans.commit(
        as_of,
        decided,
        prices=prices,
        strategies=strategies,
        at=now(),
        replayed_at=replayed_at,
        needs_approval=deployment.policy.plans.approval == "required",
    )
    refresh_recipients(warehouse, store)
    report = dispatch(store, prepare_sending(deployment, store, channels, is_replay=is_replay))
    return dg.MaterializeResult(
        metadata={
            "treated": int(committed["arm"].eq(TREATED).sum()),
            "held_out": int(committed["arm"].eq(HOLDOUT).sum()),
            "held_back": int(committed["arm"].eq(CONTROL).sum()),
            "is_replay": is_replay,
            **{name: value for name, value in asdict(report).items() if value},
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
    warehouse.replace("retention.ledger", to_arrow(store.ledger.read(), frames.LEDGER_ENTRIES))
    return dg.MaterializeResult(metadata=describe_table(warehouse, "retention.ledger"))
