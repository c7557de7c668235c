"""What people read: customers with their scores, reasons, alerts and plans, in a file that nobody locks."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from dbt_project.variables import read_tags
from orchestration.deployment import Deployment
from orchestration.gates import require_passed
from orchestration.metadata import describe_schema, describe_table
from orchestration.partitions import read_as_of
from orchestration.privacy.keeping import delete_old
from orchestration.published import Published
from orchestration.warehouse import Warehouse
from retention.deciding.plan import REASONS
from retention.store.store import Store

OWNER = "team:data"
# `position` is unique, so that pages can begin behind a row without naming its customer
CUSTOMERS = """
    select row_number() over (order by money_at_risk desc nulls last, customer_id) as position, *
    from decisions.published_customers
    order by position
"""
# a customer's newest alert of each day, the most urgent and then the most money first
ALERTS = """
    select row_number() over (order by priority, money_at_risk desc nulls last, as_of desc, customer_id) as position, *
    from retention.alerts
    where as_of > date '{since}' and as_of <= date '{as_of}'
    order by position
"""
SCORES = """
    select as_of, customer_id, score, probability, tier, model_version
    from decisions.latest_scores
    where as_of > date '{since}' and as_of <= date '{as_of}'
    order by customer_id, as_of
"""
REASONS_OF_DAY = """
    select as_of, customer_id, rank, reason, is_stated, is_preventable, share, text_en, text_zh
    from scores.churn_reasons
    where as_of = date '{as_of}'
    qualify batch = max(batch) over ()
    order by customer_id, rank
"""
FORECASTS = """
    select * from forecasts.customer_value where as_of = date '{as_of}' order by customer_id, horizon_months
"""
NEXT_PURCHASES = "select * from forecasts.next_purchases where as_of = date '{as_of}' order by customer_id"
PLANS = "select * from retention.plans where as_of = date '{as_of}' order by rank"
PLAN_CHANGES = """
    select row_number() over (
            order by plan_change, greatest(coalesce(expected_value, 0), coalesce(previous_expected_value, 0)) desc,
                customer_id
        ) as position, *
    from decisions.plan_changes
    where as_of = date '{as_of}'
    order by position
"""
PLAN_PRICES = "select * from retention.plan_prices where as_of = date '{as_of}' order by resource"
VALUE_DRIVERS = """
    select as_of, customer_id, driver, own_figure, typical_figure, contribution, driver_rank
    from customer_360.value_drivers
    where driver_rank <= 3 and abs(contribution) >= 0.005
    order by customer_id, driver_rank
"""
# tables in another order than that of customers, which are found in the others without: an index doubles the file, and
# the first page after a publication waits until it is read
INDEXED = dict.fromkeys(("customers", "alerts", "plans"), "customer_id")


def _of_latest_day(table: str, columns: str) -> tuple[str, str]:
    """Return a table of money and the query of its newest day up to that of the run."""
    latest = f"select max(as_of) from outcomes.{table} where as_of <= date '{{as_of}}'"
    return f"outcomes.{table}", f"select {columns} from outcomes.{table} where as_of = ({latest})"


# what is measured when the messages of a night have left, or the first time only after some nights
MEASURED = {
    "strategy_effects": ("outcomes.strategy_effects", "select * from outcomes.strategy_effects"),
    "version_effects": ("outcomes.version_effects", "select * from outcomes.version_effects"),
    "contamination": ("outcomes.contamination", "select * from outcomes.contamination"),
    "money": _of_latest_day("money", "*"),
    "harms": _of_latest_day("harms", "*"),
    "attribution": _of_latest_day(
        "attribution", "kind as action_kind, action, count_customers, shapley, markov, last_touch"
    ),
    "losses": _of_latest_day("losses", "line, basis, count_customers, amount, share as part"),
    "goals": _of_latest_day("goals", "goal, against as compared_with, value, low, high, target, state as goal_state"),
    "fairness": (
        "monitoring.group_figures",
        """
        select * exclude (as_of), as_of as trained_on from monitoring.group_figures
        where as_of = (select max(as_of) from monitoring.group_figures where as_of <= date '{as_of}')
        """,
    ),
    "churn_lines": _of_latest_day("churn_lines", "name, value, low, high, line, line_value, source as line_source"),
    "churn_forecast": (
        "monitoring.churn_forecast",
        """
        select as_of, month as month_date, rate as value, low, high, industry_line as line_value
        from monitoring.churn_forecast
        where "group" = 'all' and is_forecast
            and as_of = (select max(as_of) from monitoring.churn_forecast where as_of <= date '{as_of}')
        """,
    ),
    "churn_bridge": (
        "outcomes.churn_bridge",
        """
        select as_of, other_definition, cell, cast(count(*) as bigint) as count_customers
        from outcomes.churn_bridge
        where as_of <= date '{as_of}'
        group by all
        """,
    ),
    "cohorts": ("outcomes.cohort_retention", "select * from outcomes.cohort_retention"),
    "survival": ("outcomes.survival", "select * from outcomes.survival"),
    "churn_reasons": (
        "outcomes.churn_reasons",
        """
        select as_of, reason as stated_reason, count_customers, share_of_leavers, share_of_stated
        from outcomes.churn_reasons
        where as_of <= date '{as_of}'
        """,
    ),
    "leaver_groups": (
        "customer_360.leaver_groups",
        """
        select as_of, group_rank, count_customers, count_left, churn_rate, all_rate, text_en, text_zh
        from customer_360.leaver_groups
        where as_of = (select max(as_of) from customer_360.leaver_groups where as_of <= date '{as_of}')
        """,
    ),
    "negative_keywords": (
        "outcomes.negative_keywords",
        "select * from outcomes.negative_keywords where month_date <= date '{as_of}' and keyword_rank <= 30",
    ),
    "periods": (
        "outcomes.outcomes_by_period",
        """
        select * from outcomes.outcomes_by_period
        where period_start <= date '{as_of}' and (period = 'month' or period_start > date '{since}')
        """,
    ),
    "alert_system": (
        "outcomes.alert_system",
        "select * from outcomes.alert_system where period_start <= date '{as_of}'",
    ),
    "cutoff_lines": (
        "monitoring.cutoffs",
        """
        select level as cutoff_level, line as cutoff_score
        from monitoring.cutoffs
        where policy = 'cutoffs' and as_of = (select max(as_of) from monitoring.cutoffs where as_of <= date '{as_of}')
        """,
    ),
    "aliases": (
        "identity.members",
        """
        select distinct customer_id as alias_id, canonical_id as customer_id
        from identity.members
        where customer_id <> canonical_id
        """,
    ),
    "lane_weights": (
        "monitoring.lane_weights",
        """
        select lane_feature, lane_weight
        from monitoring.lane_weights
        where weight_state = 'learned' and as_of = date '{as_of}'
        """,
    ),
    "performance": ("monitoring.performance", "select * from monitoring.performance where as_of <= date '{as_of}'"),
    "drift": ("monitoring.drift", "select * from monitoring.drift where as_of <= date '{as_of}'"),
    "gate_verdicts": (
        "monitoring.gate_verdicts",
        """
        select * from monitoring.gate_verdicts
        where as_of = date '{as_of}'
        qualify judged_at = max(judged_at) over (partition by seam)
        """,
    ),
    "reconciliation": (
        "bookkeeping.cleaning_reconciliation",
        """
        select source, table_name,
            cast(sum(rows_landed) as bigint) as rows_landed,
            cast(sum(rows_staged) as bigint) as rows_staged,
            cast(sum(rows_removed) as bigint) as rows_removed
        from bookkeeping.cleaning_reconciliation
        group by all
        """,
    ),
}
GATES = "monitoring.gate_verdicts"  # no asset: gates are checks, which write it as they run
GROUPS = "monitoring.group_figures"  # of the training, whose days are its own
MEASURED_ASSETS = sorted({table for table, _ in MEASURED.values()} - {GATES, GROUPS})
INCIDENTS = """
    select row_number() over (order by raised_at desc, p_value, incident_id) as position, incident_id, as_of, measure,
        group_name, first_date, last_date, count_customers as count_affected, count_expected, ratio, p_value, q_value,
        money_at_risk, cause_en, cause_zh, grade, raised_at
    from retention.incidents
    where as_of > date '{since}' and as_of <= date '{as_of}'
    order by position
"""
RULES = """
    select level, main_reason, count_answers, count_wrong, share_wrong, share_low, demand, points, why_en, why_zh
    from monitoring.alert_rules
    where as_of = date '{as_of}'
"""
FAMILIES = """
    select customer_id, family, score as family_score
    from signals.family_scores
    where as_of = date '{as_of}' and score > 0
    order by customer_id, score desc, family
"""
TRENDS = """
    select measure as indicator, group_name, count_customers, rate_now, slope, changed_on, rate_before, rate_since,
        q_value, is_change
    from signals.group_trends
    where as_of = date '{as_of}'
    order by q_value, measure, group_name
"""
FUNNEL = """
    select step, step_number, group_name, first_date, count_customers, count_continued, share_continued, lost_expected,
        q_value, is_drop
    from signals.funnel
    where as_of = date '{as_of}'
    order by group_name, step_number, first_date
"""
QUERIES = {
    "customers": CUSTOMERS, "alerts": ALERTS, "scores": SCORES, "reasons": REASONS_OF_DAY, "plans": PLANS,
    "plan_changes": PLAN_CHANGES, "plan_prices": PLAN_PRICES, "value_drivers": VALUE_DRIVERS, "incidents": INCIDENTS,
    "alert_rules": RULES, "families": FAMILIES, "trends": TRENDS, "funnel": FUNNEL, "forecasts": FORECASTS,
    "next_purchases": NEXT_PURCHASES,
}  # fmt: skip


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["published", table],
        deps=[
            ["decisions", "published_customers"],
            ["decisions", "plan_changes"],
            ["scores", "churn_reasons"],
            ["retention", "plans"],
            ["retention", "incidents"],
            ["signals", "family_scores"],
            ["signals", "group_trends"],
            ["signals", "funnel"],
            ["forecasts", "customer_value"],
            ["forecasts", "next_purchases"],
        ],
        group_name="published",
        owners=[OWNER],
        kinds={"duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    name="published",
    specs=[
        _spec(
            "customers",
            "One row per customer: the 360 view with score, reason and decision, to read at any time; in the same "
            "file the alerts, scores, reasons and plans, and what they rest on.",
        ),
        _spec("segments", "One row per declared segment and as_of: customers and money at risk in it."),
    ],
)
def publish(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
    published: dg.ResourceParam[Published],
) -> Iterator[dg.MaterializeResult[None]]:
    """Swap in what passed the gates, and count the declared segments in it."""
    as_of = read_as_of(context)
    require_passed(warehouse, store, "plans", as_of=as_of)
    warehouse.publish(published.path, _list_tables(deployment, warehouse, as_of=as_of), indexed=INDEXED)
    for former in published.path.parent.glob("*.duckdb"):  # what an earlier release published under another name
        if former != published.path:
            former.unlink()
    rows = []
    for name, declared in deployment.policy.segments.items():
        found = published.segment(declared.filter, limit=0)
        rows.append({"as_of": as_of, "segment": name, **declared.model_dump()})
        rows[-1] |= {"customers": found.count, "money_at_risk": found.money_at_risk}
    if rows:
        warehouse.replace_day("published.segments", pa.Table.from_pylist(rows), as_of=as_of)
    everybody = published.segment("true", limit=0)
    yield dg.MaterializeResult(
        asset_key=["published", "customers"],
        metadata={
            "dagster/row_count": everybody.count,
            "dagster/column_schema": describe_schema(everybody.customers.schema),
            "file": dg.MetadataValue.path(str(published.path.relative_to(deployment.settings.home))),
        },
    )
    yield dg.MaterializeResult(
        asset_key=["published", "segments"],
        metadata=(describe_table(warehouse, "published.segments", as_of=as_of) if rows else {"dagster/row_count": 0})
        | {row["segment"]: row["customers"] for row in rows},
    )


@dg.asset(
    key=["published", "measured"],
    deps=[["published", "customers"], *(table.split(".") for table in MEASURED_ASSETS)],
    group_name="published",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def publish_measured(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    published: dg.ResourceParam[Published],
) -> dg.MaterializeResult[None]:
    """What was measured in the night, in the same file: people read their list before it, and after it new figures.

    A fault in measuring leaves the list of the day published, with the figures of the night before. What is older than
    the policy keeps goes at this end of the night.
    """
    as_of = read_as_of(context)
    measured = _list_measured(warehouse, days=_days(deployment, as_of))
    warehouse.publish(published.path, measured | _about(deployment, as_of=as_of), is_update=True)
    gone = delete_old(deployment, warehouse, as_of=as_of)
    return dg.MaterializeResult(metadata={"tables": sorted(measured), "deleted_as_old": gone})


def _list_tables(deployment: Deployment, warehouse: Warehouse, *, as_of: date) -> dict[str, str | pa.Table]:
    """Return what is published: of the past, `desk.history_days`."""
    days = _days(deployment, as_of)
    queried = {name: query.format(**days) for name, query in QUERIES.items()}
    return {**queried, **_list_measured(warehouse, days=days), **_about(deployment, as_of=as_of)} | {
        "strategies": pa.Table.from_pylist(
            [
                {"strategy_id": each.id, "text_en": each.name.en, "text_zh": each.name.zh}
                for each in deployment.strategies
            ],
            schema=pa.schema([(name, pa.string()) for name in ("strategy_id", "text_en", "text_zh")]),
        ),
        "tags": pa.Table.from_pylist(
            [{"tag": each["name"], "text_en": each["en"], "text_zh": each["zh"]} for each in read_tags()]
        ),
        "decision_reasons": pa.Table.from_pylist(
            [{"decision_reason": code, "text_en": en, "text_zh": zh} for code, (en, zh) in REASONS.items()]
        ),
    }


def _days(deployment: Deployment, as_of: date) -> dict[str, date]:
    """Return between which days the past is published."""
    return {"since": as_of - timedelta(days=deployment.policy.desk.history_days), "as_of": as_of}


def _list_measured(warehouse: Warehouse, *, days: dict[str, date]) -> dict[str, str | pa.Table]:
    """Return what has been measured so far."""
    return {name: query.format(**days) for name, (table, query) in MEASURED.items() if warehouse.has_table(table)}


def _about(deployment: Deployment, *, as_of: date) -> dict[str, str | pa.Table]:
    return {"about": pa.Table.from_pylist([_describe(deployment, as_of=as_of)])}


def _describe(deployment: Deployment, *, as_of: date) -> dict[str, Any]:
    """Return what every figure of the snapshot rests on: whose it is, what churn means, and when it was made."""
    company, churn = deployment.company, deployment.company.churn
    return {
        "company": company.name,
        "currency": company.currency,
        "timezone": company.timezone,
        "as_of": as_of,
        "published_at": datetime.now(UTC).replace(tzinfo=None),
        "churn_definition": churn.definition,
        "active_within_days": churn.active_within_days,
        "horizon_days": churn.horizon_days,
        "lead_days": churn.lead_days,
        "fall_share": churn.fall_share,
        "budget_amount": deployment.policy.budget.amount,
        "budget_period": deployment.policy.budget.period,
        "holdout_share": deployment.policy.holdout.share,
    }
