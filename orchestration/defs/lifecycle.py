"""The life of strategies: once a month each is reviewed by what has matured, and moved, watched or retired."""

from datetime import date

import dagster as dg
import pyarrow as pa

from orchestration.deployment import Deployment
from orchestration.kept_share import read_kept_share
from orchestration.metadata import describe_table, write_table
from orchestration.partitions import read_as_of
from orchestration.sending import now
from orchestration.warehouse import Warehouse
from retention.measuring.checks import block, find_faults
from retention.measuring.guardrails import find_broken, read_guardrails
from retention.measuring.lifecycle import REASONS, SUGGESTIONS, Review, break_evens, is_due, review
from retention.measuring.outcomes import read_effects
from retention.store.store import Store

TABLE = "retention.strategy_reviews"
MATURED = """
    select * from outcomes.treatment_outcomes
    where event = 'assigned' and is_mature and outcome_until <= $as_of
    order by entry_id
"""
SIDE_EFFECTS = """
    select * from outcomes.side_effects
    where event = 'assigned' and is_mature and outcome_until <= $as_of
    order by entry_id
"""
LEDGER = "select * from retention.ledger where as_of <= $as_of order by entry_id"
SCHEMA = pa.schema([
    ("review_id", pa.int64()), ("as_of", pa.date32()), ("strategy_id", pa.string()), ("state_before", pa.string()),
    ("state", pa.string()), ("reason", pa.string()), ("reason_en", pa.string()), ("reason_zh", pa.string()),
    ("suggestion_en", pa.string()), ("suggestion_zh", pa.string()), ("verdict", pa.string()),
    ("difference", pa.float64()), ("difference_low", pa.float64()), ("difference_high", pa.float64()),
    ("needs", pa.float64()), ("n_treated", pa.int64()), ("n_holdout", pa.int64()), ("months", pa.int64()),
    ("decided_by", pa.string()), ("note", pa.string()),
])  # fmt: skip


@dg.asset(
    key=TABLE.split("."),
    deps=[["outcomes", "strategy_effects"], ["outcomes", "side_effects"], ["retention", "ledger"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def strategy_reviews(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per strategy and review: where it stands in its life, why, by which figures, and what to decide."""
    as_of = read_as_of(context)
    past = store.strategy_reviews.read()
    if is_due(past, as_of=as_of):
        past += store.strategy_reviews.record(_review(warehouse, deployment, past, as_of=as_of))
    warehouse.replace(TABLE, write_reviews(past))
    page = {"review": write_table(_show([each for each in past if each.as_of == as_of]))} if past else {}
    moved = {each.strategy_id: each.state for each in past if each.as_of == as_of and each.state != each.state_before}
    return dg.MaterializeResult(metadata=describe_table(warehouse, TABLE) | page | moved)


def _review(warehouse: Warehouse, deployment: Deployment, past: list[Review], *, as_of: date) -> list[Review]:
    decisions = warehouse.read(MATURED, {"as_of": as_of}).to_pandas()
    ledger = warehouse.read(LEDGER, {"as_of": as_of}).to_pandas()
    faults = find_faults(ledger, deployment.policy, today=as_of)
    effects = read_effects(decisions, deployment.policy, today=as_of)
    effects = block(effects, faults, deployment.policy, today=as_of)
    side_effects = warehouse.read(SIDE_EFFECTS, {"as_of": as_of}).to_pandas()
    broken = find_broken(read_guardrails(side_effects, deployment.policy, today=as_of))
    kept_share = read_kept_share(warehouse, deployment.policy, as_of)
    felt = deployment.policy.effects.windows_felt(decisions["probability"].astype(float))
    needs = break_evens(decisions, kept_share=kept_share, felt=felt)
    return review(effects, needs, past, broken=broken, as_of=as_of, at=now())


def _show(reviews: list[Review]) -> list[dict[str, object]]:
    """Return the day's reviews as the page shows them: what moved first, then what is to be decided."""
    moved_first = sorted(reviews, key=lambda each: (each.state == each.state_before, not each.suggestion))
    return [
        {
            "strategy": each.strategy_id,
            "state": each.state if each.state == each.state_before else f"{each.state_before} to {each.state}",
            "why": each.note or REASONS[each.reason][0],
            "kept": "" if each.difference is None else f"{each.difference:+.1%}",
            "pays from": "" if each.needs is None else f"{each.needs:+.2%}",
            "to decide": SUGGESTIONS[each.suggestion][0],
        }
        for each in moved_first
    ]


def write_reviews(reviews: list[Review]) -> pa.Table:
    """Return reviews as people read them, with their words in both languages."""
    rows = [
        {name: getattr(each, name, None) for name in SCHEMA.names}
        | {"review_id": each.number}
        | {f"reason_{language}": words for language, words in zip(("en", "zh"), REASONS[each.reason], strict=True)}
        | {f"suggestion_{name}": words for name, words in zip(("en", "zh"), SUGGESTIONS[each.suggestion], strict=True)}
        for each in reviews
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
