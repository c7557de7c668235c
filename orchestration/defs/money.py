"""What retention saved, cost and lost, in money, from the outcomes that were known on the day."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from company.policy import Policy
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.measuring import attribution, goals, losses, money, periods, staying
from retention.measuring.trials import Trial

DECISIONS = """
    select * replace (is_mature and outcome_until <= $as_of as is_mature) from outcomes.treatment_outcomes
    where as_of <= $as_of order by entry_id
"""
BY_ARM = "select * from outcomes.outcomes_by_arm order by all"
LEAVERS = "select * from customer_360.leavers order by all"
YEARS_AFTER = "select * from outcomes.years_after order by entry_id"
MONTHS = """
    select month_date as month, count_customers as customers, count_churned as churned
    from outcomes.monthly_churn where group_name = 'all' order by month_date
"""
NEWCOMERS = """
    select coalesce(sum(greatest(value_from_now, 0)), 0) from customer_360.customers
    where known_date >= $since and known_date < $as_of
"""
LIFETIMES = "select * from customer_360.lifetimes where not is_returned and as_of <= $as_of order by as_of desc limit 1"
ACTIONS = {"strategy": "planned_strategy_id", "channel": "channel"}
_YEAR = timedelta(days=365)
_TEXT, _FIGURE, _DAY, _YES = pa.string(), pa.float64(), pa.date32(), pa.bool_()
_TYPES = {
    "scope": _TEXT, "name": _TEXT, "line": _TEXT, "basis": _TEXT, "goal": _TEXT, "against": _TEXT, "state": _TEXT,
    "kind": _TEXT, "action": _TEXT, "period": _TEXT, "period_start": _DAY, "strategy_id": _TEXT, "effect_group": _TEXT,
    "is_certain": _YES, "source": _TEXT, "definition": _TEXT, "level": _TEXT,
}  # fmt: skip


def _spec(name: str, description: str, *deps: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["outcomes", name],
        deps=[*(["outcomes", each] for each in deps), ["customer_360", "leavers"]],
        group_name="outcomes",
        owners=["team:retention"],
        kinds={"duckdb", "table"},
        description=description,
    )


SPECS = (
    _spec(
        "outcomes_by_period",
        "One row per day, week or month, strategy and group: the treated next to the held-out, with intervals.",
        "outcomes_by_arm",
    ),
    _spec(
        "money",
        "One row per as_of and scope (all, value tier, strategy, group): saved with its interval, spent, return.",
        "treatment_outcomes", "years_after",
    ),
    _spec("harms", "One row per as_of and strategy or group whose held-out increment is negative: what it cost."),
    _spec("attribution", "One row per as_of and strategy or channel, and the rest: its part in what was saved."),
    _spec("losses", "One row per as_of and line of the year's loss account; assumptions are marked."),
    _spec("goals", "One row per as_of, goal and what it is compared with.", "monthly_churn"),
    _spec("churn_lines", "One row per as_of and churn figure, each next to a line that counts the same thing."),
)  # fmt: skip


@dg.multi_asset(name="money", specs=SPECS)
def account(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[dg.MaterializeResult[None]]:
    """Account for what is known on the day."""
    as_of, policy = read_as_of(context), deployment.policy
    by_arm = warehouse.read(BY_ARM).to_pandas()
    compared = periods.compare_periods(by_arm, confidence=policy.outcomes.confidence)
    warehouse.replace("outcomes.outcomes_by_period", type_table(compared))
    yield _describe(warehouse, "outcomes_by_period")
    for name, frame in _account(warehouse, deployment, by_arm, as_of=as_of).items():
        warehouse.replace_day(f"outcomes.{name}", type_table(frame.assign(as_of=as_of)), as_of=as_of)
        yield _describe(warehouse, name, as_of=as_of)


def _describe(warehouse: Warehouse, name: str, *, as_of: date | None = None) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        asset_key=["outcomes", name], metadata=describe_table(warehouse, f"outcomes.{name}", as_of=as_of)
    )


def _account(
    warehouse: Warehouse, deployment: Deployment, by_arm: pd.DataFrame, *, as_of: date
) -> Mapping[str, pd.DataFrame]:
    policy = deployment.policy
    leavers = warehouse.read(LEAVERS).to_pandas()
    share, basis = losses.measure_lasting_share(leavers, as_of=as_of, assumed=policy.losses.lasting_share)
    worth = _measure_value_share(warehouse, policy, as_of=as_of)
    decisions = warehouse.read(DECISIONS, {"as_of": as_of}).to_pandas()
    saved = money.measure_money(decisions, confidence=policy.outcomes.confidence, loss_share=share * worth)
    won = warehouse.read_value(NEWCOMERS, {"since": _newcomers_since(deployment, as_of), "as_of": as_of})
    return {
        "money": saved.assign(lasting_share=share, basis=basis, value_share=worth),
        "harms": money.list_harms(saved, fewest=_count_needed(policy)),
        "attribution": _attribute(money.value_kept(decisions, loss_share=share * worth), saved),
        "losses": losses.account_losses(
            leavers, as_of=as_of, lasting_share=share, value_of_newcomers=float(won), assumptions=policy.losses
        ),
        "goals": _compare_with_goals(warehouse, decisions, by_arm, policy),
        "churn_lines": _draw_lines(warehouse, deployment, as_of=as_of),
    }


def _measure_value_share(warehouse: Warehouse, policy: Policy, *, as_of: date) -> float:
    """Return the share of their value from now that customers bring who were at risk and stayed."""
    lifetimes = warehouse.read(LIFETIMES, {"as_of": as_of}).to_pylist()
    return staying.measure_value_share(
        warehouse.read(YEARS_AFTER).to_pandas(),
        lifetime_years=float(lifetimes[0]["measured_years"]) if lifetimes else policy.clv.lifetime_years,
        horizon_years=policy.clv.lifetime_years,
        prior_leavers=policy.clv.prior_leavers,
    )


def _count_needed(policy: Policy) -> int:
    """Return how many decisions have to be held out before anything is certain of a strategy."""
    trial = Trial.begin(policy.outcomes)
    return trial.needed_sample(policy.outcomes.assumed_retention, holdout_share=policy.holdout.share)[1]


def _newcomers_since(deployment: Deployment, as_of: date) -> date:
    """Return the first day on which a customer who appears is new and not just seen for the first time."""
    company = deployment.company
    return max(as_of - _YEAR, company.history_starts + timedelta(days=company.churn.active_within_days))


def _attribute(kept: pd.DataFrame, saved: pd.DataFrame) -> pd.DataFrame:
    """Return the parts of what was saved by strategy and by channel, the rest under no name."""
    total = saved["saved"].iloc[0]
    tables = []
    for kind, column in ACTIONS.items():
        found = attribution.attribute(kept, action=column, increment=None if pd.isna(total) else float(total))
        rest = {"action": attribution.REST, "shapley": found.rest_shapley, "markov": found.rest_markov}
        parts = [found.parts, pd.DataFrame([rest])] if pd.notna(total) else [found.parts.iloc[:0]]
        tables.append(pd.concat(parts).reindex(columns=list(attribution.COLUMNS)).assign(kind=kind))
    return pd.concat(tables)


def _compare_with_goals(
    warehouse: Warehouse, decisions: pd.DataFrame, by_arm: pd.DataFrame, policy: Policy
) -> pd.DataFrame:
    months = warehouse.read(MONTHS).to_pandas()
    first = decisions["as_of"].min() if len(decisions) else None
    is_before = [first is None or pd.Timestamp(month) < pd.Timestamp(first) for month in months["month"]]
    treated, held_out = (_sum_arm(by_arm, arm) for arm in ("treated", "holdout"))
    return goals.compare_with_goals(
        treated,
        held_out,
        months.assign(is_before=is_before),
        goals=policy.goals,
        confidence=policy.outcomes.confidence,
    )


def _sum_arm(by_arm: pd.DataFrame, arm: str) -> goals.Sums:
    is_all = by_arm["strategy_id"].eq("all") & by_arm["effect_group"].eq("all") & by_arm["period"].eq("month")
    rows = by_arm.loc[is_all & by_arm["arm"].eq(arm)]
    known = int(rows["count_known"].sum())
    return goals.Sums(
        known=known,
        left=known - int(rows["count_retained"].sum()),
        valued=int(rows["count_valued"].sum()),
        value=float(rows["value_12_months"].sum()),
        value_squared=float(rows["value_12_months_squared"].sum()),
    )


def _draw_lines(warehouse: Warehouse, deployment: Deployment, *, as_of: date) -> pd.DataFrame:
    """Return the latest rate next to that of the year before, and the lasting losses next to those of the industry."""
    months = warehouse.read(MONTHS).to_pandas()
    rows: list[dict[str, Any]] = []
    if len(months):
        latest, earlier = months.iloc[-1], months.iloc[-13:-1]
        base = float(earlier["churned"].sum() / earlier["customers"].sum()) if len(earlier) else None
        rate = float(latest["churned"] / latest["customers"])
        rows.append({"name": "definition", "value": rate, "line": "own", "line_value": base})
    for each in warehouse.read(LIFETIMES, {"as_of": as_of}).to_pylist():
        years, confidence = float(each["customer_years"]), deployment.policy.outcomes.confidence
        yearly = goals.measure_yearly_churn(int(each["count_lost"]), years, confidence=confidence)
        line = deployment.industry.churn_line
        shown = {"value": yearly.value, "low": yearly.low, "high": yearly.high}
        rows.append({"name": "year", **shown, "line": "industry", "line_value": line.over(365), "source": line.source})
    columns = ["name", "value", "low", "high", "line", "line_value", "source"]
    return pd.DataFrame(rows, columns=columns)


def type_table(frame: pd.DataFrame) -> pa.Table:
    """Return a frame of these tables as Arrow, typed by the names of its columns whatever is in them."""
    types = {name: _type_of(str(name)) for name in frame}
    columns = {
        str(name): pa.Array.from_pandas(frame[name].astype(object).where(frame[name].notna(), None), type=kind)
        for name, kind in types.items()
    }
    return pa.table(columns)


def _type_of(name: str) -> pa.DataType:
    if name in _TYPES:
        return _TYPES[name]
    if name == "as_of":
        return _DAY
    return _FIGURE
