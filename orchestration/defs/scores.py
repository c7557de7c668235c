"""Churn scores by the champion, with tiers and reasons, append-only, and the gate on them."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from company.policy import Policy
from ml.explaining.contributions import explain
from ml.registry import AWAITING, STANDING, RegisteredModel, Registry
from ml.score import SCHEMA, score
from ml.training.lead_times import SCHEMA as LEAD_SCHEMA
from ml.training.lead_times import score_lead_times
from orchestration.deployment import Deployment
from orchestration.gates import find_fault, judge, require_passed
from orchestration.partitions import read_as_of
from orchestration.rows import GROUP_WORDS, select_rows
from orchestration.warehouse import Warehouse
from retention.deciding.tiers import assign
from retention.store.store import Store

if TYPE_CHECKING:
    from ml.dataset import Floats

SCORES, REASONS, RULED = "scores.churn_scores", "scores.churn_reasons", "scores.rule_scores"
AHEAD = "scores.lead_scores"
NONE_AHEAD = LEAD_SCHEMA.append(pa.field("model_version", pa.string())).empty_table()
RULES = "rule-based"  # the version of scores without a model
SILENT, SILENCES = "recency_days", ("last_gap_days",)  # the present silence, and those that have ended


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.split("."),
        deps=[["features", "customer_features"]],
        group_name="scores",
        owners=["team:data-science"],
        kinds={"mlflow", "duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    specs=[
        _spec(
            SCORES,
            "One row per customer, as_of and batch: probability, 0-100 score, tiers, model version. Append-only.",
        ),
        _spec(REASONS, "One row per customer, as_of, batch and rank: the three strongest reasons in words."),
        _spec(AHEAD, "One row per customer, as_of, batch and lead time: the probability of leaving that far ahead."),
    ],
    name="churn_scores",
)
def churn_scores(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
    registry: dg.ResourceParam[Registry],
) -> Iterator[dg.MaterializeResult[None]]:
    """Score every eligible customer once per champion version; a second run with the same champion adds nothing."""
    as_of = read_as_of(context)
    require_passed(warehouse, store, "features", as_of=as_of)
    champion = registry.champion()
    version = RULES if champion is None else champion.version
    if champion is None and not is_cold_start(warehouse):
        raise dg.Failure(f"No champion: {explain_absence(registry)}")
    if not _is_scored(warehouse, as_of, version):
        features = warehouse.read(select_eligible(deployment.policy), {"as_of": as_of})
        if champion is None:
            found = score_by_rules(deployment, features, as_of)
        else:
            found = score_by_model(deployment, registry, champion, features, as_of)
        batch = pa.scalar(_next_batch(warehouse, as_of))
        warehouse.append({table: _stamp(rows, batch) for table, rows in found.items()})
    for table in (SCORES, REASONS, AHEAD):
        rows = warehouse.read_value(f"select count(*) from {table} where as_of = $as_of", {"as_of": as_of})
        told = {"dagster/row_count": rows, "model_version": version}
        yield dg.MaterializeResult(asset_key=table.split("."), metadata=told)


def select_eligible(policy: Policy) -> str:
    """Return the query for everybody who can be scored on the day `$as_of`."""
    rows = select_rows(policy.training.groups)
    return f"select * from ({rows}) as snapshots where as_of = $as_of order by customer_id"


def is_cold_start(warehouse: Warehouse) -> bool:
    """Say whether the last training found too little to learn from."""
    if not warehouse.has_table("monitoring.trainings"):
        return False
    state = warehouse.read_value("select state from monitoring.trainings order by as_of desc limit 1")
    return bool(state != "model")


def explain_absence(registry: Registry) -> str:
    """Return why no version scores, and what fixes it."""
    waiting = [each["version"] for each in registry.versions() if each.get(STANDING) == AWAITING]
    if waiting:
        return f"version {', '.join(waiting)} waits for a review; see `holdfast model list` and docs/review.md."
    return "the registry has no promoted churn model yet. Run the `retrain` job first."


def _is_scored(warehouse: Warehouse, as_of: date, version: str) -> bool:
    """Say whether the latest batch of `as_of` is already the work of this version, and passed its gate."""
    if not warehouse.has_table(SCORES) or find_fault(warehouse, "scores", as_of=as_of) is not None:
        return False
    return _latest_version(warehouse, as_of) == version


def _latest_version(warehouse: Warehouse, as_of: date) -> str | None:
    query = f"select max_by(model_version, batch) from {SCORES} where as_of = $as_of"
    found: str | None = warehouse.read_value(query, {"as_of": as_of})
    return found


def score_by_model(
    deployment: Deployment, registry: Registry, champion: RegisteredModel, features: pa.Table, as_of: date
) -> dict[str, pa.Table]:
    """Score by the champion, tell why, and score by the models that it brought along for lead times further ahead."""
    horizon = deployment.company.churn.horizon_days
    scores = score(champion.model, features, as_of=as_of, horizon_days=horizon, model_version=champion.version)
    ahead = score_lead_times(registry.lead_times(champion.version), features, as_of=as_of, horizon_days=horizon)
    return {
        SCORES: _assign(scores, deployment.policy),
        REASONS: explain(champion.model, features, [*deployment.features, GROUP_WORDS], as_of=as_of, top=3),
        AHEAD: ahead.append_column("model_version", pa.repeat(champion.version, ahead.num_rows)),
    }


def score_by_rules(deployment: Deployment, features: pa.Table, as_of: date) -> dict[str, pa.Table]:
    """Score without a model: by how long silences last and by the rules that show; see `read_probabilities`."""
    from ml.cold_start.scores import score_cold_start
    from ml.explaining.reasons import count_lasting, explain_rules

    horizon = deployment.company.churn.horizon_days
    signals = deployment.policy.cold_start.signals
    small = score_cold_start(features, signals, horizon_days=horizon, silent_days=SILENT, past_silences=SILENCES)
    customers = small.table["customer_id"].to_pylist()
    lasting = count_lasting(features, SILENT, SILENCES)
    told = zip(customers, small.table["survival_probability"].to_pylist(), lasting, strict=True)
    fewest = deployment.policy.cold_start.weight_of_rules
    reasons = explain_rules(
        features,
        signals,
        deployment.features,
        chances={name: chance for name, chance, count in told if chance is not None and count >= fewest},
        as_of=as_of,
        horizon_days=horizon,
        silent_days=SILENT,
    )
    kept = small.table.append_column("as_of", pa.repeat(pa.scalar(as_of, pa.date32()), len(customers)))
    scores = _assign(read_probabilities(deployment, small.table, lasting, as_of), deployment.policy)
    return {SCORES: scores, REASONS: reasons, RULED: kept, AHEAD: NONE_AHEAD}


def read_probabilities(deployment: Deployment, small: pa.Table, lasting: "Floats", as_of: date) -> pa.Table:
    """Return scores in their usual form from those of `ml.cold_start.scores`.

    The probability is the chance that the customer's silence lasts, drawn towards the share of the rules that show
    where few silences have lasted as long; the industry's line where nothing is known. `scores.rule_scores` keeps both.
    """
    from ml.explaining.reasons import join_chances

    survival, ruled = (small[name].to_numpy().astype(float) for name in ("survival_probability", "rule_score"))
    chances = join_chances(
        survival,
        ruled / 100,
        lasting,
        weight=deployment.policy.cold_start.weight_of_rules,
        otherwise=deployment.industry.churn_line.over(deployment.company.churn.horizon_days),
    )
    rows = len(chances)
    return pa.table(
        [
            small["customer_id"].combine_chunks(),
            pa.repeat(pa.scalar(as_of, pa.date32()), rows),
            pa.repeat(pa.scalar(deployment.company.churn.horizon_days, pa.int32()), rows),
            pa.array(chances),
            pa.array(100 * chances),
            pa.repeat(RULES, rows),
        ],
        schema=SCHEMA,
    )


def _assign(scores: pa.Table, policy: Policy) -> pa.Table:
    return pa.Table.from_pandas(assign(scores.to_pandas(), policy), preserve_index=False)


def _next_batch(warehouse: Warehouse, as_of: date) -> int:
    if not warehouse.has_table(SCORES):
        return 1
    query = f"select coalesce(max(batch), 0) + 1 from {SCORES} where as_of = $as_of"
    return int(warehouse.read_value(query, {"as_of": as_of}))


def _stamp(rows: pa.Table, batch: pa.Scalar) -> pa.Table:
    return rows.append_column("batch", pa.repeat(batch, rows.num_rows))


@dg.asset_check(asset=SCORES.split("."), additional_deps=[REASONS.split(".")], blocking=True)
def scores_gate(
    context: dg.AssetCheckExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.AssetCheckResult:
    """Stop the pipeline when a score is missing, doubled, out of range or without a reason."""
    from expectations.scores import build as build_suites

    as_of, policy = read_as_of(context), deployment.policy
    suites = build_suites(
        as_of=as_of,
        batch=_next_batch(warehouse, as_of) - 1,
        tiers={"high": policy.tiers.high, "medium": policy.tiers.medium},
        lowest_tier="low",
        alerts={"high": policy.alerts.high, "medium": policy.alerts.medium, "low": policy.alerts.low},
        base_rate=warehouse.read_value("select base_rate from monitoring.trainings order by as_of desc limit 1"),
        base_rate_band=policy.gates.base_rate_band,
        maximum_share_at_one_value=policy.gates.maximum_score_share_at_one_value,
        minimum_rows=policy.gates.minimum_rows,
    )
    judgement = judge(warehouse, store, "scores", suites, as_of=as_of, docs=deployment.settings.gates_folder)
    return judgement.result_for(SCORES.split("."), tables=[SCORES, REASONS], check="scores_gate")
