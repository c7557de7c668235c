"""Champion and challenger live: each scores its customers, and what they were worth afterwards decides."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa

from company.churn import ChurnDefinition
from company.policy.training import Promotion
from ml.registry import CHALLENGER, CHAMPION, Registry
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.measuring.model_trial import OPEN, compare_models

TRIALS = "monitoring.model_trials"
OUTCOMES = "select * from outcomes.scored_outcomes where as_of <= $latest order by as_of, customer_id"
COSTS = """
    select as_of, model_version, cost from outcomes.treatment_outcomes
    where event = 'assigned' and is_sent and as_of <= $latest order by entry_id
"""
LATEST = f"""
    select min(as_of) as began, max_by(verdict, as_of) as verdict from {TRIALS}
    where champion = $champion and challenger = $challenger and as_of < $as_of
"""
SCHEMA = pa.schema([
    ("as_of", pa.date32()), ("champion", pa.string()), ("challenger", pa.string()), ("count_champion", pa.int64()),
    ("count_challenger", pa.int64()), ("value_champion", pa.float64()), ("value_challenger", pa.float64()),
    ("cost_champion", pa.float64()), ("cost_challenger", pa.float64()), ("difference", pa.float64()),
    ("difference_low", pa.float64()), ("difference_high", pa.float64()), ("verdict", pa.string()),
])  # fmt: skip


@dg.asset(
    key=TRIALS.split("."),
    deps=[["outcomes", "scored_outcomes"], ["outcomes", "treatment_outcomes"]],
    group_name="monitoring",
    owners=["team:data-science"],
    kinds={"duckdb", "table"},
)
def model_trials(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
) -> dg.MaterializeResult[None]:
    """One row per day of a trial: what the customers of champion and challenger kept of their value, less cost."""
    as_of, aliases = read_as_of(context), registry.aliases()
    if not deployment.policy.promotion.live_share or CHAMPION not in aliases or registry.challenger() is None:
        return dg.MaterializeResult(metadata={"state": "no challenger is live"})
    outcomes, costs = read_known(warehouse, deployment.company.churn, as_of=as_of)
    row = compare_models(outcomes, costs, deployment.policy, champion=aliases[CHAMPION], challenger=aliases[CHALLENGER])
    rows = pa.Table.from_pylist([row | {"as_of": as_of}], schema=SCHEMA)
    warehouse.replace_day(TRIALS, rows, as_of=as_of)
    return dg.MaterializeResult(metadata=describe_table(warehouse, TRIALS, as_of=as_of) | round_figures(row))


def read_known(warehouse: Warehouse, churn: ChurnDefinition, *, as_of: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the outcomes and costs of the days whose outcome was known on a day, also where that day is replayed."""
    latest = as_of - timedelta(days=churn.lead_days + churn.horizon_days)
    outcomes, costs = (warehouse.read(query, {"latest": latest}).to_pandas() for query in (OUTCOMES, COSTS))
    return outcomes, costs


def is_open(warehouse: Warehouse, registry: Registry, promotion: Promotion, *, as_of: date) -> bool:
    """Return whether the trial of champion and challenger goes on: it has no verdict yet, and days are left to it."""
    aliases = registry.aliases()
    if not promotion.live_share or {*aliases} != {CHAMPION, CHALLENGER} or not warehouse.has_table(TRIALS):
        return False
    (latest,) = warehouse.read(LATEST, {**aliases, "as_of": as_of}).to_pylist()
    return bool(latest["verdict"] == OPEN and as_of < latest["began"] + timedelta(days=promotion.live_days))
