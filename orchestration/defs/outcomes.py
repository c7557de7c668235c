"""What came of it: the ledger joined with what customers then did, and the effect of each strategy."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from orchestration.dbt import Dbt, read_run
from orchestration.dbt_models import build_models, describe_models
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.measuring.outcomes import read_effects
from retention.store.frames import to_arrow

FOLDERS = ("outcomes",)
DECISIONS = "select * from outcomes.treatment_outcomes where event = 'assigned' order by entry_id"


def define(deployment: Deployment) -> dg.Definitions:
    """Return the models of the outcomes."""
    models = describe_models(deployment, FOLDERS)

    @dg.multi_asset(name="outcome_models", specs=models.specs, check_specs=models.checks, can_subset=True)
    def outcome_models(
        context: dg.AssetExecutionContext, dbt: dg.ResourceParam[Dbt], warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[Any]:
        """Join the ledger with the labels that have matured."""
        run = read_run(deployment.company, deployment.policy, as_of=read_as_of(context))
        yield from build_models(context, dbt, warehouse, run=run)

    return dg.Definitions(assets=[outcome_models])


@dg.asset(
    key=["outcomes", "strategy_effects"],
    deps=[["outcomes", "treatment_outcomes"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def strategy_effects(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per strategy, holdout period and monthly look: the treated against the untreated, and the verdict."""
    decisions = warehouse.read(DECISIONS).to_pandas()
    effects = read_effects(decisions, deployment.policy, today=_find_today(decisions, read_as_of(context)))
    warehouse.replace("outcomes.strategy_effects", to_arrow(effects))
    latest = effects.loc[effects["is_latest"]]
    verdicts = {str(row.strategy_id): str(row.verdict) for row in latest.itertuples()}
    return dg.MaterializeResult(metadata={**describe_table(warehouse, "outcomes.strategy_effects"), **verdicts})


def _find_today(decisions: pd.DataFrame, as_of: date) -> date:
    """Return the day up to which outcomes are known: a replayed day knows those that came after it."""
    over = decisions.loc[decisions["is_mature"], "outcome_until"]
    return as_of if over.empty else max(as_of, pd.Timestamp(over.max()).date())
