"""Churn scores by the champion, with tiers and reasons, append-only, and the gate on them."""

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from company.taxonomy import Family
from ml.explaining.reasons import explain_rules
from ml.registry import AWAITING, LIFECYCLE_STATUS, RegisteredModel, Registry
from ml.score import SCHEMA
from orchestration.defs.cutoffs import CUTOFFS, read_cutoffs, read_raised
from orchestration.defs.families import WEIGHTS, read_families, read_weights
from orchestration.deployment import Deployment
from orchestration.engines import SPARK
from orchestration.gates import find_fault, judge, require_passed
from orchestration.metadata import describe_table, link_version
from orchestration.partitions import read_as_of
from orchestration.scoring import AHEAD_SCHEMA, Scorer, assign_levels, find_at_risk, make_scorer, read_facts
from orchestration.suites import list_score_suites
from orchestration.warehouse import Warehouse
from retention.measuring.model_trial import draw_challenged
from retention.store.store import Store

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from company.policy.units import Level
    from ml.cold_start.scores import Outcomes

SCORES, REASONS, RULED = "scores.churn_scores", "scores.churn_reasons", "scores.rule_scores"
AHEAD = "scores.lead_scores"
NONE_AHEAD = AHEAD_SCHEMA.empty_table()
RULES = "rule-based"  # the version of scores without a model
ELIGIBLE = "select * from features.eligible_snapshots where as_of = $as_of order by customer_id"
LATEST_VERSIONS = f"""
    select distinct model_version
    from (select * from {SCORES} where as_of = $as_of qualify batch = max(batch) over ())
"""
FOLLOWS_PURCHASES = {"inactivity", "spend_fall"}  # the churn definitions that look at purchases
BASE_RATE = "select base_rate from monitoring.trainings order by as_of desc limit 1"
OUTCOMES = """
    select count(*) as known, count(*) filter (where churned) as churned
    from features.churn_labels where is_mature and label_until <= $as_of
"""


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.split("."),
        # the gate is on the features
        deps=[
            ["features", "eligible_snapshots"],
            ["features", "customer_features"],
            CUTOFFS.split("."),
            WEIGHTS.split("."),
        ],
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
        _spec(REASONS, "One row per customer at risk, as_of, batch and rank: up to three reasons in words."),
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
    """Score every eligible customer once per champion version; a second run with the same champion adds nothing.

    While the policy lets a challenger live, it scores its share of the customers in the champion's place.
    """
    as_of = read_as_of(context)
    require_passed(warehouse, store, "features", as_of=as_of)
    champion = registry.champion()
    challenger = registry.challenger() if champion and deployment.policy.promotion.live_share else None
    version = RULES if champion is None else champion.version
    if champion is None and not is_cold_start(warehouse):
        raise dg.Failure(f"No champion: {explain_absence(registry)}")
    if not _is_scored(warehouse, as_of, {version, *([challenger.version] if challenger else [])}):
        warehouse.append(score(deployment, warehouse, registry, champion, challenger, as_of=as_of))
    page = link_version(registry, deployment.settings.registry_url, version)
    for table in (SCORES, REASONS, AHEAD):
        shown = describe_table(warehouse, table, as_of=as_of) | {"model_version": version, **page}
        yield dg.MaterializeResult(asset_key=table.split("."), metadata=shown)


def score(
    deployment: Deployment,
    warehouse: Warehouse,
    registry: Registry,
    champion: RegisteredModel | None,
    challenger: RegisteredModel | None,
    *,
    as_of: date,
) -> "Mapping[str, pa.Table | Dataset]":
    """Return what the models, or rules where there is none, find of the eligible customers of a day, as a new batch.

    Where Spark computes the models it scores as well, unless a challenger has its share: it draws among all customers.
    """
    batch, points = _next_batch(warehouse, as_of), read_raised(warehouse, as_of)
    if champion is None:
        found = score_by_rules(
            deployment,
            warehouse.read(ELIGIBLE, {"as_of": as_of}),
            as_of,
            known=count_outcomes(warehouse, as_of),
            weights=read_weights(warehouse, as_of),
            points=points,
        )
        return _stamp(found, batch)
    lines = read_cutoffs(warehouse, as_of)
    make = partial(make_scorer, deployment, registry, as_of=as_of, cutoffs=lines, points=points)
    if challenger is None and deployment.settings.models_on == SPARK:
        from orchestration.spark.scoring import score_on_spark

        return score_on_spark(deployment, warehouse, make(champion), batch=batch)
    features, share = warehouse.read(ELIGIBLE, {"as_of": as_of}), deployment.policy.promotion.live_share
    parts = [score_by_model(make(model), rows) for model, rows in divide(features, champion, challenger, share=share)]
    return _stamp({table: pa.concat_tables([part[table] for part in parts]) for table in parts[0]}, batch)


def is_cold_start(warehouse: Warehouse) -> bool:
    """Return whether the last training found too little to learn from."""
    if not warehouse.has_table("monitoring.trainings"):
        return False
    state = warehouse.read_value("select state from monitoring.trainings order by as_of desc limit 1")
    return bool(state != "model")


def explain_absence(registry: Registry) -> str:
    """Return why no version scores, and what fixes it."""
    waiting = [each["version"] for each in registry.versions() if each.get(LIFECYCLE_STATUS) == AWAITING]
    if waiting:
        return f"version {', '.join(waiting)} waits for a review; see `holdfast model list` and docs/review.md."
    return "the registry has no promoted churn model yet. Run the `retrain` job first."


def divide(
    features: pa.Table, champion: RegisteredModel, challenger: RegisteredModel | None, *, share: float
) -> list[tuple[RegisteredModel, pa.Table]]:
    """Return each model with the customers that it scores: a share of them the challenger, all others the champion."""
    if challenger is None:
        return [(champion, features)]
    ids = features["customer_id"].to_pylist()
    drawn = draw_challenged(ids, champion=champion.version, challenger=challenger.version, share=share)
    parts = [(champion, features.filter(pa.array(~drawn))), (challenger, features.filter(pa.array(drawn)))]
    return [(model, rows) for model, rows in parts if rows.num_rows]


def _is_scored(warehouse: Warehouse, as_of: date, versions: set[str]) -> bool:
    """Return whether the latest batch of `as_of` is already the work of these versions, and passed its gate."""
    if not warehouse.has_table(SCORES) or find_fault(warehouse, "scores", as_of=as_of) is not None:
        return False
    return {row["model_version"] for row in warehouse.read(LATEST_VERSIONS, {"as_of": as_of}).to_pylist()} == versions


def _latest_version(warehouse: Warehouse, as_of: date) -> str | None:
    query = f"select max_by(model_version, batch) from {SCORES} where as_of = $as_of"
    found: str | None = warehouse.read_value(query, {"as_of": as_of})
    return found


def score_by_model(scorer: Scorer, features: pa.Table) -> dict[str, pa.Table]:
    """Score by the champion, explain why, and score with its models for further lead times."""
    scores = scorer.score(features)
    at_risk = find_at_risk(scores, mean=scores["probability"].to_numpy().mean())
    return {
        SCORES: scores,
        REASONS: scorer.explain(features, at_risk=at_risk),
        AHEAD: scorer.score_ahead(features),
    }


def score_by_rules(
    deployment: Deployment,
    features: pa.Table,
    as_of: date,
    *,
    known: "Outcomes",
    weights: Mapping[Family, float],
    points: "Mapping[Level, int]",
) -> dict[str, pa.Table]:
    """Score without a model: by how long inactivities last, by the rules that show, and at the level that is known."""
    from ml.cold_start.families import weigh_signals
    from ml.cold_start.scores import score_cold_start

    churn, given = deployment.company.churn, deployment.policy.cold_start
    signals = weigh_signals(given.signals, read_families(deployment), weights)
    small = score_cold_start(
        features,
        signals,
        horizon_days=churn.horizon_days,
        base_rate=deployment.industry.churn_line.over(churn.horizon_days),
        outcomes=known,
        follows_purchases=churn.definition in FOLLOWS_PURCHASES,
        log_odds_per_weight=given.log_odds_per_weight,
    )
    scored = _as_scores(small.table, as_of, horizon_days=churn.horizon_days)
    scores = assign_levels(scored, deployment.policy, points=points)
    reasons = explain_rules(
        signals,
        features,
        deployment.features,
        read_facts(deployment),
        as_of=as_of,
        at_risk=find_at_risk(scores, mean=scores["probability"].to_numpy().mean()),
        minimum_share=deployment.policy.inferred_reasons.minimum_share,
        silence=small.table["survival_probability"].to_numpy(),
        log_odds_per_weight=given.log_odds_per_weight,
    )
    kept = small.table.append_column("as_of", pa.repeat(pa.scalar(as_of, pa.date32()), small.table.num_rows))
    return {SCORES: scores, REASONS: reasons, RULED: kept, AHEAD: NONE_AHEAD}


def count_outcomes(warehouse: Warehouse, as_of: date) -> "Outcomes":
    """Return how many outcomes are known by `as_of`, and how many of them are churned."""
    from ml.cold_start.scores import Outcomes

    (row,) = warehouse.read(OUTCOMES, {"as_of": as_of}).to_pylist()
    return Outcomes(known=row["known"], churned=row["churned"])


def _as_scores(small: pa.Table, as_of: date, *, horizon_days: int) -> pa.Table:
    """Return the scores of `ml.cold_start.scores` in their usual form; `scores.rule_scores` has their basis."""
    score, rows = small["score"].combine_chunks(), small.num_rows
    return pa.table(
        [
            small["customer_id"].combine_chunks(),
            pa.repeat(pa.scalar(as_of, pa.date32()), rows),
            pa.repeat(pa.scalar(horizon_days, pa.int32()), rows),
            pc.divide(score, 100.0),
            score,
            pa.repeat(RULES, rows),
        ],
        schema=SCHEMA,
    )


def _next_batch(warehouse: Warehouse, as_of: date) -> int:
    if not warehouse.has_table(SCORES):
        return 1
    query = f"select coalesce(max(batch), 0) + 1 from {SCORES} where as_of = $as_of"
    return int(warehouse.read_value(query, {"as_of": as_of}))


def _stamp(tables: Mapping[str, pa.Table], batch: int) -> dict[str, pa.Table]:
    number = pa.scalar(batch)
    return {name: rows.append_column("batch", pa.repeat(number, rows.num_rows)) for name, rows in tables.items()}


@dg.asset_check(asset=SCORES.split("."), additional_deps=[REASONS.split(".")], blocking=True)
def scores_gate(
    context: dg.AssetCheckExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.AssetCheckResult:
    """Stop the pipeline when a score is missing, doubled, out of range or without a reason."""
    as_of = read_as_of(context)
    is_ruled = _latest_version(warehouse, as_of) in (None, RULES)
    suites = list_score_suites(
        deployment,
        as_of=as_of,
        batch=_next_batch(warehouse, as_of) - 1,
        base_rate=None if is_ruled else warehouse.read_value(BASE_RATE),
        is_ruled=is_ruled,
    )
    judgement = judge(warehouse, store, "scores", suites, as_of=as_of, docs=deployment.settings.gates_folder)
    return judgement.result_for(SCORES.split("."), tables=[SCORES, REASONS], check="scores_gate")
