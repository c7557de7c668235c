"""Monitoring: scores against what happened, features against what was learned from. It asks, it does not call."""

from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from ml.drift import DriftLimits, PerformanceLimits, measure_drift, measure_performance
from ml.evaluate import Evaluation, evaluate
from orchestration.defs.resources import FEATURES, POLICY, open_registry
from orchestration.partitions import DAYS, read_as_of
from orchestration.warehouse import Warehouse

OWNER = "team:data-science"
MATURED = """
    with latest as (
        select * from scores.churn_scores
        qualify batch = max(batch) over (partition by as_of)
    )
    select latest.as_of, latest.model_version, latest.probability, labels.churned, features.recency_days
    from latest
    inner join features.churn_labels as labels using (as_of, customer_id)
    inner join features.customer_features as features using (as_of, customer_id)
    where labels.is_mature and latest.as_of = $as_of
    order by customer_id
"""
NEWLY_MATURED = """
    select distinct labels.as_of
    from features.churn_labels as labels
    where labels.is_mature and labels.as_of in (select as_of from scores.churn_scores) and labels.as_of <= $as_of
    order by labels.as_of desc
    limit 1
"""


@dg.asset(
    key=["monitoring", "performance"],
    deps=[["scores", "churn_scores"], ["features", "churn_labels"], ["outcomes", "strategy_effects"]],
    partitions_def=DAYS,
    group_name="monitoring",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def performance(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult[None]:
    """One row per scored as_of whose labels have matured: discrimination, calibration, accuracy and its baselines."""
    scored = warehouse.read_value(NEWLY_MATURED, {"as_of": read_as_of(context)})
    if scored is None:
        return dg.MaterializeResult(metadata={"state": "no scored day has matured labels yet"})
    row = measure(warehouse, scored)
    warehouse.replace_slice("monitoring.performance", pa.Table.from_pylist([row]), as_of=scored)
    return dg.MaterializeResult(metadata={**row, "as_of": scored.isoformat()})


def measure(warehouse: Warehouse, scored: date) -> dict[str, Any]:
    """Return the figures of the latest batch of one day, beside recency alone and the majority."""
    rows = warehouse.read(MATURED, {"as_of": scored})
    label = rows["churned"].to_numpy().astype(float)
    shown = evaluate(label, rows["probability"].to_numpy(), capacity=POLICY.training.capacity_share)
    silence = rows["recency_days"].to_numpy().astype(float)
    alone = evaluate(label, silence / (1 + silence)).auc  # any rising function of the days keeps their order
    version = rows["model_version"][0].as_py()
    limits = PerformanceLimits(**POLICY.performance.model_dump())
    report = measure_performance(shown, promised=_promised(warehouse, version), limits=limits)
    figures = {**shown.as_dict(), "auc_recency_alone": alone, "gain_over_recency": shown.auc - alone}
    return {"as_of": scored, "model_version": version, **figures, "state": report.state, "reason": report.reason}


def _promised(warehouse: Warehouse, version: str) -> Evaluation | None:
    query = "select * from monitoring.trainings where model_version = $version order by as_of desc limit 1"
    rows = warehouse.read(query, {"version": version}).to_pylist()
    names = Evaluation.__dataclass_fields__
    return Evaluation(**{name: rows[0][name] for name in names}) if rows else None


@dg.asset_check(asset=["monitoring", "performance"])
def performance_within_bounds(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Ask for a retrain when matured scores show that the champion has decayed."""
    return _read_verdict(context, warehouse, "monitoring.performance", bad="decayed")


@dg.asset(
    key=["monitoring", "drift"],
    deps=[["features", "customer_features"], ["scores", "churn_scores"], ["outcomes", "strategy_effects"]],
    partitions_def=DAYS,
    group_name="monitoring",
    owners=[OWNER],
    kinds={"duckdb", "table"},
)
def drift(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult[None]:
    """One row per as_of: how far the features that matter have moved since the champion learned."""
    as_of = read_as_of(context)
    champion = open_registry().champion()
    if champion is None:
        raise dg.Failure("No champion: there is nothing that features could have drifted from. Run the `retrain` job.")
    slices = {name: _eligible(warehouse, day) for name, day in (("then", champion.model.trained_until), ("now", as_of))}
    report = measure_drift(
        slices["then"],
        slices["now"],
        champion.model.features,
        champion.model.importance(slices["then"]),
        limits=DriftLimits(**POLICY.drift.model_dump(exclude={"consecutive", "cooldown_days"})),
        scores=(champion.model.predict(slices["then"]), champion.model.predict(slices["now"])),
    )
    worst = sorted(report.features, key=lambda each: -each.psi * each.importance)[:5]
    row: dict[str, Any] = {
        "as_of": as_of,
        "model_version": champion.version,
        "drifted_importance": report.drifted_importance,
    }
    row |= {"score_psi": report.score_psi, "state": report.state}
    row |= {"reason": report.reason, "moved_most": ", ".join(f"{each.feature} {each.psi:.3f}" for each in worst)}
    warehouse.replace_slice("monitoring.drift", pa.Table.from_pylist([row]), as_of=as_of)
    return dg.MaterializeResult(metadata={**row, "as_of": as_of.isoformat()})


def _eligible(warehouse: Warehouse, day: date | str | None) -> pa.Table:
    names = ", ".join(feature.name for feature in FEATURES)
    query = f"select {names} from features.customer_features where as_of = $day and is_eligible order by customer_id"
    return warehouse.read(query, {"day": day})


@dg.asset_check(asset=["monitoring", "drift"])
def drift_within_bounds(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Ask for a retrain when the features that matter have moved."""
    return _read_verdict(context, warehouse, "monitoring.drift", bad="drifted")


def _read_verdict(
    context: dg.AssetCheckExecutionContext, warehouse: Warehouse, table: str, *, bad: str
) -> dg.AssetCheckResult:
    """Return the check on the newest row of `table`; not severe: it asks for a retrain, it stops nothing."""
    as_of = read_as_of(context)
    if not warehouse.has_table(table):
        return dg.AssetCheckResult(passed=True, metadata={"as_of": as_of.isoformat(), "state": "nothing measured yet"})
    query = f"select as_of, state, reason from {table} where as_of <= $as_of order by as_of desc limit 1"
    found = warehouse.read(query, {"as_of": as_of}).to_pylist()
    state, reason = (found[0]["state"], found[0]["reason"]) if found else ("nothing measured yet", "")
    return dg.AssetCheckResult(
        passed=state != bad,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"as_of": as_of.isoformat(), "state": state, "reason": reason},
    )
