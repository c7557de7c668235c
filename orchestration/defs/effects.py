"""What strategies do for whom: declared effects, corrected by the randomised decisions that have matured."""

import dagster as dg
import numpy as np
import pandas as pd

from orchestration.deployment import Deployment
from orchestration.kept_share import read_kept_share
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.deciding.effects import name_groups
from retention.deciding.information import price_information
from retention.deciding.limits import list_limits
from retention.deciding.matching import read_fits
from retention.deciding.options import build_options
from retention.deciding.strategy_changes import adjust
from retention.measuring.lifecycle import keep_active
from retention.store import frames
from retention.store.frames import to_arrow
from retention.store.store import Store

MATURED = "select * from outcomes.treatment_outcomes where is_mature and outcome_until <= $as_of order by entry_id"

CANDIDATES = """
    select * from decisions.candidates where as_of = $as_of and money_at_risk is not null order by customer_id"""
EFFECTS = "select * from retention.effects where as_of = $as_of"
PRICES = "select resource, price from retention.plan_prices where as_of = $as_of"


@dg.asset(
    key=["retention", "effects"],
    deps=[["outcomes", "treatment_outcomes"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "scikitlearn", "table"},
)
def effects(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per as_of, strategy and group: the effect, its interval and source, for the next day's plan."""
    from ml.effects.estimate import EffectConfig, estimate
    from ml.effects.randomised import read_randomised

    as_of = read_as_of(context)
    decisions = warehouse.read(MATURED, {"as_of": as_of}).to_pandas()
    kept_share = read_kept_share(warehouse, deployment.policy, as_of)
    felt = deployment.policy.effects.windows_felt(decisions["probability"].astype(float))
    fits = {each.id: read_fits(each, deployment.policy) for each in deployment.strategies}
    rows = read_randomised(decisions, kept_share=kept_share, felt=felt, fits=fits)
    found = estimate(rows, _declare(deployment), EffectConfig.of(deployment.policy))
    warehouse.replace_day("retention.effects", to_arrow(found.table.assign(as_of=as_of), frames.EFFECTS), as_of=as_of)
    gain = {} if found.gain is None else {"gain": found.gain.value, "gain_low": found.gain.low}
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, "retention.effects", as_of=as_of)
        | round_figures({"decisions": len(decisions), "measured_replace_declared": found.is_better, **gain})
    )


@dg.asset(
    key=["retention", "test_next"],
    deps=[["retention", "effects"], ["retention", "plan_prices"], ["decisions", "candidates"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def test_next(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per as_of and strategy: what knowing its effect exactly would bring, the strategy to test next first."""
    as_of, policy = read_as_of(context), deployment.policy
    people, effects, prices = (
        warehouse.read(query, {"as_of": as_of}).to_pandas() for query in (CANDIDATES, EFFECTS, PRICES)
    )
    people["effect_group"] = name_groups(people, policy)
    library = list(keep_active(deployment.strategies, store.strategy_reviews.read(), as_of=as_of))
    assigned = store.assignments.read(as_of, timezone=deployment.company.timezone)
    strategies = adjust(library, store.strategy_changes.read(), as_of=as_of, assigned=assigned)
    kept_share = read_kept_share(warehouse, policy, as_of)
    options = build_options(people, strategies, policy, held_back=(), effects=effects, kept_share=kept_share)
    limits = list_limits(options.columns, options.costs, policy, spent=0.0, spent_on={})
    price_of = dict(zip(prices["resource"], prices["price"], strict=True))
    ranked = price_information(options, limits, np.array([price_of.get(limit.name, 0.0) for limit in limits]))
    warehouse.replace_day("retention.test_next", to_arrow(ranked.assign(as_of=as_of), frames.TEST_NEXT), as_of=as_of)
    first = {"first": str(ranked["text_en"].iloc[0])} if len(ranked) else {}
    return dg.MaterializeResult(metadata=describe_table(warehouse, "retention.test_next", as_of=as_of) | first)


def _declare(deployment: Deployment) -> pd.DataFrame:
    """Return the declared effect of every strategy, its interval, cost and source."""
    rows = [
        {
            "strategy_id": strategy.id,
            "effect": strategy.effect.value,
            "low": strategy.effect.low,
            "high": strategy.effect.high,
            "cost": strategy.cost(deployment.policy),
            "source": strategy.effect.source,
        }
        for strategy in deployment.strategies
    ]
    return pd.DataFrame(rows, columns=["strategy_id", "effect", "low", "high", "cost", "source"])
