"""Churn scores by the champion, with tiers and reasons, append-only, and the gate on them."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pyarrow as pa

from ml.explain import explain
from ml.registry import RegisteredModel
from ml.score import score
from orchestration.defs.resources import COMPANY, FEATURES, HOME, POLICY, open_registry, open_store
from orchestration.gates import find_fault, judge, require_passed
from orchestration.partitions import DAYS, read_as_of
from orchestration.warehouse import Warehouse
from retention.tiers import assign

SCORES, REASONS = "scores.churn_scores", "scores.churn_reasons"


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.split("."),
        deps=[["features", "customer_features"]],
        group_name="scores",
        owners=["team:data-science"],
        kinds={"mlflow", "duckdb", "table"},
        partitions_def=DAYS,
        description=description,
    )


@dg.multi_asset(
    specs=[
        _spec(
            SCORES,
            "One row per customer, as_of and batch: probability, 0-100 score, tiers, model version. Append-only.",
        ),
        _spec(REASONS, "One row per customer, as_of, batch and rank: the three strongest reasons in words."),
    ],
    name="churn_scores",
)
def churn_scores(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[dg.MaterializeResult[None]]:
    """Score every eligible customer once per champion version; a second run with the same champion adds nothing."""
    as_of = read_as_of(context)
    require_passed(warehouse, open_store(), "features", as_of=as_of)
    champion = open_registry().champion()
    if champion is None:
        raise dg.Failure("No champion: the registry has no promoted churn model yet. Run the `retrain` job first.")
    if not _is_scored(warehouse, as_of, champion.version):
        warehouse.append(_score(warehouse, champion, as_of))
    for table in (SCORES, REASONS):
        rows = warehouse.read_value(f"select count(*) from {table} where as_of = $as_of", {"as_of": as_of})
        yield dg.MaterializeResult(
            asset_key=table.split("."), metadata={"dagster/row_count": rows, "model_version": champion.version}
        )


def _is_scored(warehouse: Warehouse, as_of: date, version: str) -> bool:
    """Say whether the latest batch of `as_of` is already the work of this version, and passed its gate."""
    if not warehouse.has_table(SCORES) or find_fault(warehouse, "scores", as_of=as_of) is not None:
        return False
    query = f"select max_by(model_version, batch) from {SCORES} where as_of = $as_of"
    return bool(warehouse.read_value(query, {"as_of": as_of}) == version)


def _score(warehouse: Warehouse, champion: RegisteredModel, as_of: date) -> dict[str, pa.Table]:
    query = "select * from features.customer_features where as_of = $as_of and is_eligible order by customer_id"
    features = warehouse.read(query, {"as_of": as_of})
    scores = score(
        champion.model,
        features,
        as_of=as_of,
        horizon_days=COMPANY.churn.horizon_days,
        model_version=champion.version,
    )
    reasons = explain(champion.model, features, FEATURES, as_of=as_of, top=3)
    batch = pa.scalar(_next_batch(warehouse, as_of))
    tiered = pa.Table.from_pandas(assign(scores.to_pandas(), POLICY), preserve_index=False)
    return {SCORES: _stamp(tiered, batch), REASONS: _stamp(reasons, batch)}


def _next_batch(warehouse: Warehouse, as_of: date) -> int:
    if not warehouse.has_table(SCORES):
        return 1
    query = f"select coalesce(max(batch), 0) + 1 from {SCORES} where as_of = $as_of"
    return int(warehouse.read_value(query, {"as_of": as_of}))


def _stamp(rows: pa.Table, batch: pa.Scalar) -> pa.Table:
    return rows.append_column("batch", pa.repeat(batch, rows.num_rows))


@dg.asset_check(asset=SCORES.split("."), additional_deps=[REASONS.split(".")], blocking=True)
def scores_gate(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Stop the line when a score is missing, doubled, out of range or without a reason."""
    from expectations.scores import build as build_suites

    as_of = read_as_of(context)
    suites = build_suites(
        as_of=as_of,
        batch=_next_batch(warehouse, as_of) - 1,
        tiers={"high": POLICY.tiers.high, "medium": POLICY.tiers.medium},
        lowest_tier="low",
        alerts={"high": POLICY.alerts.high, "medium": POLICY.alerts.medium, "low": POLICY.alerts.low},
        base_rate=warehouse.read_value("select base_rate from monitoring.trainings order by as_of desc limit 1"),
        base_rate_band=POLICY.gates.base_rate_band,
        maximum_share_at_one_value=POLICY.gates.maximum_score_share_at_one_value,
        minimum_rows=POLICY.gates.minimum_rows,
    )
    judgement = judge(warehouse, open_store(), "scores", suites, as_of=as_of, docs=HOME / "gates")
    return judgement.result_for(SCORES.split("."), tables=[SCORES, REASONS], check="scores_gate")
