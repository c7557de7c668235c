"""Monitoring: scores against what happened, features against what was learned from. It asks, it does not call."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from company.policy import Policy
from ml.evaluate import Evaluation, evaluate
from ml.monitoring.drift import (
    Check,
    DriftReport,
    Snapshot,
    decide_request,
    measure_drift,
    measure_performance,
    pair_months,
)
from ml.registry import RegisteredModel, Registry
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.plots import plot_drift, plot_forecast
from orchestration.warehouse import Warehouse

OWNER = "team:data-science"
EVIDENCE = (  # what a request to retrain rests on, as far as a table has it
    "state", "reason", "model_version", "compared_with", "moved_most", "drifted_importance", "score_psi", "auc", "ece",
    "request", "is_retrain_due",
)  # fmt: skip
REPORTED = (  # of a day's figures, what the asset's page shows
    *("as_of", "model_version", "state", "reason", "request", "n", "base_rate", "auc", "auc_recency_alone"),
    *("brier_skill", "ece", "accuracy", "majority_accuracy", "lift_at_capacity"),
)
MATURED = "select * from outcomes.scored_outcomes where as_of = $as_of order by customer_id"
VERDICT = (
    *(("as_of", pa.date32()), ("model_version", pa.string()), ("state", pa.string()), ("reason", pa.string())),
    *(("is_retrain_due", pa.bool_()), ("request", pa.string())),
)
PERFORMANCE = pa.schema(
    [
        *VERDICT,
        ("n", pa.int64()),
        *((name, pa.float64()) for name in Evaluation.__dataclass_fields__ if name != "n"),
        *((name, pa.float64()) for name in ("brier_skill", "auc_recency_alone", "gain_over_recency")),
    ]
)
DRIFT = pa.schema(
    [
        *VERDICT,
        *(("drifted_importance", pa.float64()), ("score_psi", pa.float64())),
        *(("compared_with", pa.string()), ("moved_most", pa.string())),
    ]
)
EVERYBODY = "all"
HISTORY = """
    select group_name as "group", month_date as month, count_customers as customers, count_churned as churned
    from outcomes.monthly_churn where count_customers >= $fewest order by all
"""
SAMPLE = 20_000  # customers of a snapshot, by hash: the PSI of ten bins then lies within 0.002 of that of all
SNAPSHOT = f"""
    select * from features.eligible_snapshots where as_of = $day order by hash(customer_id), customer_id limit {SAMPLE}
"""
NEWLY_MATURED = "select max(as_of) from outcomes.matured_days where as_of <= $as_of"


@dg.asset(
    key=["monitoring", "performance"],
    deps=[["outcomes", "scored_outcomes"], ["outcomes", "matured_days"], ["outcomes", "strategy_effects"]],
    group_name="monitoring",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def performance(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per scored as_of whose labels have matured: discrimination, calibration, accuracy and its baselines."""
    scored = warehouse.read_value(NEWLY_MATURED, {"as_of": read_as_of(context)})
    if scored is None:
        return dg.MaterializeResult(metadata={"state": "no scored day has matured labels yet"})
    row = measure(warehouse, deployment.policy, scored)
    warehouse.replace_day("monitoring.performance", _table(row, PERFORMANCE), as_of=scored)
    shown = describe_table(warehouse, "monitoring.performance", as_of=scored) | round_figures(row, REPORTED)
    return dg.MaterializeResult(metadata=shown)


def measure(warehouse: Warehouse, policy: Policy, scored: date) -> dict[str, Any]:
    """Return the figures of the latest batch of one day, next to those of recency alone and of the majority."""
    rows = warehouse.read(MATURED, {"as_of": scored})
    version = Counter(rows["model_version"].to_pylist()).most_common(1)[0][0]
    rows = rows.filter(pc.equal(rows["model_version"], version))  # a challenger scores some customers in its trial
    label = rows["churned"].to_numpy().astype(float)
    shown = evaluate(label, rows["probability"].to_numpy(), capacity=policy.training.capacity_share)
    silence = rows["recency_days"].to_numpy().astype(float)
    is_known = not np.isnan(silence).any()  # contracts have no silence
    alone = evaluate(label, silence / (1 + silence)).auc if is_known else None  # any rising function keeps the order
    report = measure_performance(shown, promised=_promised(warehouse, version), limits=policy.performance)
    figures = {
        **shown.as_dict(),
        "auc_recency_alone": alone,
        "gain_over_recency": None if alone is None else shown.auc - alone,
    }
    row = {"as_of": scored, "model_version": version, **figures, "state": report.state, "reason": report.reason}
    count = policy.performance.consecutive
    return row | ask(warehouse, "monitoring.performance", row, bad="decayed", consecutive=count)


def _promised(warehouse: Warehouse, version: str) -> Evaluation | None:
    query = "select * from monitoring.trainings where model_version = $version order by as_of desc limit 1"
    rows = warehouse.read(query, {"version": version}).to_pylist()
    names = Evaluation.__dataclass_fields__
    if not rows or rows[0]["auc"] is None:  # rules promise nothing
        return None
    return Evaluation(**{name: rows[0][name] for name in names})


@dg.asset_check(asset=["monitoring", "performance"])
def performance_within_bounds(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Ask for a retrain when matured scores show that the champion has decayed."""
    return _read_verdict(context, warehouse, "monitoring.performance", bad="decayed")


@dg.asset(
    key=["monitoring", "drift"],
    deps=[["features", "eligible_snapshots"], ["scores", "churn_scores"], ["outcomes", "strategy_effects"]],
    group_name="monitoring",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def drift(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
) -> dg.MaterializeResult[None]:
    """One row per as_of: how far the features that matter have moved since the champion learned."""
    as_of, policy = read_as_of(context), deployment.policy
    champion = registry.champion()
    if champion is None:
        return dg.MaterializeResult(metadata={"state": "no champion: nothing that features could have drifted from"})
    report, season = compare(warehouse, policy, champion, as_of)
    worst = sorted(report.features, key=lambda each: -each.psi * each.importance)[:5]
    row: dict[str, Any] = {
        "as_of": as_of,
        "model_version": champion.version,
        "drifted_importance": report.drifted_importance,
    }
    row |= {"score_psi": report.score_psi, "state": report.state, "compared_with": season}
    row |= {"reason": report.reason, "moved_most": ", ".join(f"{each.feature} {each.psi:.3f}" for each in worst)}
    row |= ask(warehouse, "monitoring.drift", row, bad="drifted", consecutive=policy.drift.consecutive)
    warehouse.replace_day("monitoring.drift", _table(row, DRIFT), as_of=as_of)
    features = [each.feature for each in report.features]
    page = draw_page(warehouse, deployment, champion, as_of, features) if policy.drift.page else {}
    shown = describe_table(warehouse, "monitoring.drift", as_of=as_of) | round_figures(row)
    plot = plot_drift(report.features, limit=policy.drift.psi)
    return dg.MaterializeResult(metadata={**shown, **page, "moved": plot})


def _table(row: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(row)], schema=schema)


def draw_page(
    warehouse: Warehouse, deployment: Deployment, champion: RegisteredModel, as_of: date, features: Sequence[str]
) -> dict[str, dg.MetadataValue[Any]]:
    """Return the month's Evidently page as metadata; it is drawn once a month, on the first day that is run."""
    policy = deployment.policy
    path = deployment.settings.home / "monitoring" / f"drift-{as_of:%Y-%m}.html"
    if not path.exists():
        from ml.monitoring.drift_report import write_drift_report

        then = _read_sample(warehouse, champion, date.fromisoformat(str(champion.model.trained_until)))
        now = _read_sample(warehouse, champion, as_of)
        if min(then.rows.num_rows, now.rows.num_rows) < policy.drift.minimum_rows:
            return {}
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(write_drift_report(then, now, features, limit=policy.drift.psi))
        fresh.replace(path)
    return {"page_of_the_month": dg.MetadataValue.url(path.as_uri())}


def compare(warehouse: Warehouse, policy: Policy, champion: RegisteredModel, as_of: date) -> tuple[DriftReport, str]:
    """Measure how far `as_of` lies from what the champion learned; return also what its season was compared with."""
    last = date.fromisoformat(str(champion.model.trained_until))
    then, now = (_read_sample(warehouse, champion, day) for day in (last, as_of))
    year_ago = _read_sample(warehouse, champion, _a_year_before(as_of))
    has_year = year_ago.rows.num_rows >= policy.drift.minimum_rows
    days = [] if has_year else _list_learned(warehouse, last, count=policy.training.snapshots)
    read = {day: _read_sample(warehouse, champion, day) for day in days}
    earlier = pair_months(days, last=last, as_of=as_of)
    report = measure_drift(
        then,
        now,
        champion.model.features,
        champion.model.importance(then.rows),
        limits=policy.drift,
        year_ago=year_ago if has_year else None,
        learned=list(read.values()),
        ordinary=[(read[before], read[after]) for before, after in earlier],
    )
    if has_year:
        return report, f"{last} and the same month a year ago, {_a_year_before(as_of)}"
    return report, f"{last} and the {len(days)} snapshots up to it, beyond what {len(earlier)} pairs of them had moved"


def ask(warehouse: Warehouse, table: str, row: Mapping[str, Any], *, bad: str, consecutive: int) -> dict[str, Any]:
    """Return whether a retrain is due: enough failed checks of one champion in a row. The cool-down is the store's."""
    query = f"""
        select as_of, state from {table}
        where as_of < $as_of and model_version = $version order by as_of desc limit $count
    """
    given = {"as_of": row["as_of"], "version": row["model_version"], "count": consecutive}
    before = warehouse.read(query, given).to_pylist() if warehouse.has_table(table) else []
    checks = [Check(each["as_of"], failed=each["state"] == bad) for each in (*before, row)]
    request = decide_request(checks, consecutive=consecutive)
    return {"is_retrain_due": request.retrain, "request": request.reason}


def _list_learned(warehouse: Warehouse, last: date, *, count: int) -> list[date]:
    """Return the monthly snapshots up to the last one that the champion learned from, the oldest first."""
    query = """
        select distinct as_of from features.customer_features
        where as_of <= $last and as_of = date_trunc('month', as_of) order by as_of desc limit $count
    """
    days = warehouse.read(query, {"last": last, "count": count})["as_of"].to_pylist()
    return sorted(days)


def _read_sample(warehouse: Warehouse, champion: RegisteredModel, day: date) -> Snapshot:
    rows = warehouse.read(SNAPSHOT, {"day": day}).select(champion.model.features)
    return Snapshot(rows, champion.model.predict(rows) if rows.num_rows else None)


def _a_year_before(day: date) -> date:
    """Return the first day of the month a year before: monthly snapshots are what is always there."""
    return date(day.year - 1, day.month, 1)


@dg.asset_check(asset=["monitoring", "drift"])
def drift_within_bounds(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Ask for a retrain when the features that matter have moved."""
    return _read_verdict(context, warehouse, "monitoring.drift", bad="drifted")


def _read_verdict(
    context: dg.AssetCheckExecutionContext, warehouse: Warehouse, table: str, *, bad: str
) -> dg.AssetCheckResult:
    """Return the check on the newest row of `table`; not severe: it asks for a retrain, it stops nothing."""
    as_of = read_as_of(context)
    if not warehouse.has_table(table):
        return dg.AssetCheckResult(passed=True, metadata={"as_of": as_of.isoformat(), "state": "nothing measured yet"})
    query = f"select * from {table} where as_of <= $as_of order by as_of desc limit 1"
    found = warehouse.read(query, {"as_of": as_of}).to_pylist()
    row = found[0] if found else {"state": "nothing measured yet", "reason": ""}
    return dg.AssetCheckResult(
        passed=row["state"] != bad,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**round_figures(row, EVIDENCE), "as_of": as_of.isoformat()},
    )


@dg.asset(
    key=["monitoring", "churn_forecast"],
    deps=[["outcomes", "monthly_churn"], ["outcomes", "strategy_effects"]],
    group_name="monitoring",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def churn_forecast(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per as_of, group and month, past and to come: churn rate, interval, and the industry's if comparable."""
    from ml.forecasting.churn_rate import forecast_groups

    as_of, forecast, churn = read_as_of(context), deployment.policy.forecast, deployment.company.churn
    history = warehouse.read(HISTORY, {"fewest": forecast.minimum_customers})
    if not history.num_rows:
        return dg.MaterializeResult(metadata={"state": "no month's labels have matured yet"})
    found = forecast_groups(
        history,
        # an industry's yearly losses and a rate of silences, most of which end, count different things
        line=deployment.industry.churn_line.over(churn.horizon_days) if churn.is_final else None,
        ahead=forecast.months_ahead,
        coverage=forecast.coverage,
    )
    rows = found.table.append_column("as_of", pa.repeat(pa.scalar(as_of, pa.date32()), found.table.num_rows))
    warehouse.replace_day("monitoring.churn_forecast", rows, as_of=as_of)
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, "monitoring.churn_forecast", as_of=as_of)
        | {
            "rate_of_everybody": plot_forecast(rows.filter(pc.equal(rows["group"], EVERYBODY))),
            "of_everybody": dg.MetadataValue.md(_tell(rows)),
            "groups_without_forecast": "; ".join(f"{name}: {why}" for name, why in found.unknown.items()) or "none",
        }
    )


def _tell(rows: pa.Table) -> str:
    """Return the forecast of all customers as a table in Markdown."""
    shown = {"rate": "rate", "low": "from", "high": "to", "industry_line": "industry"}
    if rows.column("industry_line").null_count:
        del shown["industry_line"]
    lines = [f"| month | {' | '.join(shown.values())} |", "|---" * (1 + len(shown)) + "|"]
    for row in rows.to_pylist():
        if row["group"] == EVERYBODY and row["rate"] is not None:
            month = f"{row['month']:%Y-%m}" + (" (forecast)" if row["is_forecast"] else "")
            lines.append(f"| {month} | {' | '.join(f'{row[name]:.1%}' for name in shown)} |")
    return "\n".join(lines)
