"""What came of it: the ledger joined with what customers then did, and the effect of each strategy."""

from collections.abc import Iterator, Sequence
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
from retention.measuring.checks import ASSIGNMENT, CHECKS, LEAK, SAMPLE_RATIO, Fault, block, find_faults
from retention.measuring.experiments import read_versions
from retention.measuring.guardrails import find_broken, read_guardrails
from retention.measuring.outcomes import read_effects
from retention.store import frames
from retention.store.frames import to_arrow

FOLDERS = ("outcomes",)
LEDGER = "select * from retention.ledger order by entry_id"
VERDICTS = "select strategy_id, verdict from outcomes.strategy_effects where is_latest order by strategy_id"
DESCRIPTIONS = {
    SAMPLE_RATIO: "As many are held out as the draw gives, over all, by strategy and by channel.",
    ASSIGNMENT: "Nobody is held out and treated within one period of the holdout.",
    LEAK: "No message left for a customer who is held out.",
}
SIDE_EFFECTS = "select * from outcomes.side_effects where event = 'assigned' order by entry_id"
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
        yield from build_models(context, deployment, dbt, warehouse, run=run)

    return dg.Definitions(assets=[outcome_models])


@dg.asset(
    key=["outcomes", "strategy_effects"],
    deps=[["outcomes", "treatment_outcomes"], ["retention", "ledger"]],
    check_specs=[
        dg.AssetCheckSpec(name, asset=["outcomes", "strategy_effects"], description=description)
        for name, description in DESCRIPTIONS.items()
    ],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def strategy_effects(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[dg.MaterializeResult[None]]:
    """One row per strategy, holdout period and monthly look: the treated against the untreated, and the verdict."""
    decisions = warehouse.read(DECISIONS).to_pandas()
    today = _find_today(decisions, read_as_of(context))
    effects = read_effects(decisions, deployment.policy, today=today)
    faults = find_faults(warehouse.read(LEDGER).to_pandas(), deployment.policy, today=today)
    judged = block(effects, faults, deployment.policy, today=today)
    warehouse.replace("outcomes.strategy_effects", to_arrow(judged, frames.STRATEGY_EFFECTS))
    latest = warehouse.read(VERDICTS).to_pylist()
    verdicts = {row["strategy_id"]: row["verdict"] for row in latest}
    yield dg.MaterializeResult(
        metadata={**describe_table(warehouse, "outcomes.strategy_effects"), **verdicts},
        check_results=[_report(name, faults) for name in CHECKS],
    )


def _report(name: str, faults: Sequence[Fault]) -> dg.AssetCheckResult:
    """Return the result of one check, with what was found; a fault blocks verdicts, not the pipeline."""
    found = [fault for fault in faults if fault.check == name]
    blocked = sorted({strategy for fault in found for strategy in fault.strategies})
    return dg.AssetCheckResult(
        check_name=name,
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"found": [fault.detail for fault in found], "verdicts_blocked": blocked},
    )


def _find_today(decisions: pd.DataFrame, as_of: date) -> date:
    """Return the day up to which outcomes are known: a replayed day knows those that came after it."""
    over = decisions.loc[decisions["is_mature"], "outcome_until"]
    return as_of if over.empty else max(as_of, pd.Timestamp(over.max()).date())


@dg.asset(
    key=["outcomes", "version_effects"],
    deps=[["outcomes", "treatment_outcomes"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def version_effects(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per version of a strategy, what it is compared with, and monthly look; empty without versions."""
    decisions = warehouse.read(DECISIONS).to_pandas()
    today = _find_today(decisions, read_as_of(context))
    effects = read_versions(decisions, deployment.strategies, deployment.policy, today=today)
    warehouse.replace("outcomes.version_effects", to_arrow(effects, frames.VERSION_EFFECTS))
    latest = effects.loc[effects["is_latest"].astype(bool)]
    verdicts = {
        f"{row.strategy_id} {row.version} against {row.against}": str(row.verdict) for row in latest.itertuples()
    }
    return dg.MaterializeResult(metadata={**describe_table(warehouse, "outcomes.version_effects"), **verdicts})


@dg.asset(
    key=["outcomes", "guardrails"],
    deps=[["outcomes", "side_effects"]],
    group_name="outcomes",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def guardrails(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per strategy and guardrail: complaints, withdrawn consents and margin, and whether it is broken."""
    decisions = warehouse.read(SIDE_EFFECTS).to_pandas()
    found = read_guardrails(decisions, deployment.policy, today=_find_today(decisions, read_as_of(context)))
    warehouse.replace("outcomes.guardrails", to_arrow(found, frames.GUARDRAILS))
    return dg.MaterializeResult(metadata={**describe_table(warehouse, "outcomes.guardrails"), **find_broken(found)})
