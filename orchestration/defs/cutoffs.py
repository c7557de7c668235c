"""Cut-offs that move: before each scoring the lines that history, capacity and money would choose."""

from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa

from company.policy import Policy
from company.policy.units import Level
from orchestration.defs.alerts import RULES, read_rules
from orchestration.deployment import Deployment
from orchestration.kept_share import read_kept_share
from orchestration.metadata import describe_table, write_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse
from retention.deciding.cutoffs import History, choose_cutoffs, read_lines
from retention.deciding.feedback import read_points

CUTOFFS = "monitoring.cutoffs"
PAST_SCORES, VALIDATION = "outcomes.scored_outcomes", "monitoring.validation_scores"
NEEDED = ("as_of", "probability", "churned", "value_from_now")
KNOWN = f"select columns(name -> name in {NEEDED}) from {{table}} where as_of <= $latest"
LATEST = f"select * from {CUTOFFS} where as_of = (select max(as_of) from {CUTOFFS} where as_of <= $as_of)"


@dg.asset(
    key=CUTOFFS.split("."),
    deps=[["features", "labelled_snapshots"], ["monitoring", "alert_rules"], ["customer_360", "leavers"]],
    group_name="scores",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def cutoffs(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per line over the score and day: whom it would have found, at what cost; moving and fixed lines."""
    as_of, policy = read_as_of(context), deployment.policy
    churn = deployment.company.churn
    latest = as_of - timedelta(days=churn.lead_days + churn.horizon_days)  # the last day whose outcome is known by then
    known = read_history(warehouse, policy, latest=latest)
    if known is None:
        needed = policy.cutoffs.minimum_churners
        return dg.MaterializeResult(metadata={"history": f"fewer than {needed} known leavers: the tiers hold"})
    table, rows = known
    points = read_raised(warehouse, as_of)
    history = History.from_rows(rows, kept_share=read_kept_share(warehouse, policy, as_of))
    found = choose_cutoffs(history, policy, points=points).assign(source=table, as_of=as_of)
    warehouse.replace_day(CUTOFFS, pa.Table.from_pandas(found, preserve_index=False), as_of=as_of)
    page = {"lines": write_table(_shown(found)), "history": table, "in_use": policy.tier_policy}
    return dg.MaterializeResult(metadata=describe_table(warehouse, CUTOFFS, as_of=as_of) | page)


def read_history(warehouse: Warehouse, policy: Policy, *, latest: date) -> tuple[str, pd.DataFrame] | None:
    """Return what came of scores up to the day `latest` and the table; None while too few leavers are known.

    The scores that were acted on come first; until enough of their outcomes are in, the out-of-fold predictions of the
    latest training stand in for them.
    """
    for table in (PAST_SCORES, VALIDATION):
        if warehouse.has_table(table):
            rows = warehouse.read(KNOWN.format(table=table), {"latest": latest}).to_pandas()
            # a view that an earlier release built lacks the value until the night builds it again
            if len(rows.columns) == len(NEEDED) and rows["churned"].sum() >= policy.cutoffs.minimum_churners:
                return table, rows
    return None


def read_raised(warehouse: Warehouse, as_of: date) -> dict[Level, int]:
    """Return by how many points users' feedback raises the line of each level on a day."""
    return read_points(read_rules(warehouse, as_of)) if warehouse.has_table(RULES) else {}


def read_cutoffs(warehouse: Warehouse, as_of: date) -> dict[Level, float] | None:
    """Return the lines that were chosen last before or on `as_of`, by level; None while there are none."""
    if not warehouse.has_table(CUTOFFS):
        return None
    latest = warehouse.read(LATEST, {"as_of": as_of}).to_pandas()
    return None if latest.empty else read_lines(latest)


def _shown(found: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows as a page shows them: whole customers, shares in percent."""
    shown = found.drop(columns=["as_of", "source"])
    whole = ["line", "customers", "leavers", "false_alarms", "cost", "saved", "net"]
    shown[whole] = shown[whole].round().astype(int)
    shown["share_of_leavers"] = shown["share_of_leavers"].map("{:.0%}".format)
    rows: list[dict[str, object]] = pa.Table.from_pandas(shown, preserve_index=False).to_pylist()
    return rows
