"""What strategies do for whom: declared effects, corrected by the randomised decisions that have matured."""

import dagster as dg
import pandas as pd

from orchestration.deployment import Deployment
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.store.frames import to_arrow

MATURED = "select * from outcomes.treatment_outcomes where is_mature and outcome_until <= $as_of order by entry_id"


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
    found = estimate(read_randomised(decisions), _declare(deployment), EffectConfig.of(deployment.policy))
    warehouse.replace_day("retention.effects", to_arrow(found.table.assign(as_of=as_of)), as_of=as_of)
    gain = {} if found.gain is None else {"gain": found.gain.value, "gain_low": found.gain.low}
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, "retention.effects", as_of=as_of)
        | round_figures({"decisions": len(decisions), "measured_replace_declared": found.is_better, **gain})
    )


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
