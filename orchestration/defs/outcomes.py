"""What came of it: the ledger beside what customers then did, and the effect of each strategy."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from orchestration.dbt import Translator, build
from orchestration.defs.resources import COMPANY, DOCS_URL, HOME, MODELS, POLICY, VARIABLES, tell_dbt
from orchestration.partitions import DAYS, ONE_A_RUN, read_as_of
from orchestration.warehouse import Warehouse
from retention.measuring.outcomes import read_effects
from retention.store.frames import to_arrow


@dbt_assets(
    manifest=MODELS.manifest_path,
    project=MODELS,
    select="path:models/outcomes",
    dagster_dbt_translator=Translator(COMPANY, DAYS, docs=DOCS_URL),
    partitions_def=DAYS,
    backfill_policy=ONE_A_RUN,
    name="outcome_models",
)
def outcome_models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    """Join the ledger with the labels that have matured."""
    tell_dbt(read_as_of(context))
    yield from build(context, dbt, variables=VARIABLES, home=HOME)


@dg.asset(
    backfill_policy=ONE_A_RUN,
    key=["outcomes", "strategy_effects"],
    deps=[["outcomes", "treatment_outcomes"]],
    partitions_def=DAYS,
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def strategy_effects(warehouse: Warehouse) -> dg.MaterializeResult[None]:
    """One row per strategy: retention of the treated against the untreated, with an interval and a verdict."""
    query = "select * from outcomes.treatment_outcomes where event = 'assigned' order by entry_id"
    decisions = warehouse.read(query).to_pandas()
    effects = read_effects(decisions, POLICY)
    warehouse.replace("outcomes.strategy_effects", to_arrow(effects))
    verdicts = {str(row.strategy_id): str(row.verdict) for row in effects.itertuples()}
    return dg.MaterializeResult(metadata={"dagster/row_count": len(effects), **verdicts})
