"""Trends of every indicator and group, with their changes of level, and the funnel with its abnormal drops."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd

TRENDS, FUNNEL = "signals.group_trends", "signals.funnel"
WEEKS = "select * from decisions.{view}"
TREND_SCHEMA = pa.schema([
    ("as_of", pa.date32()), ("measure", pa.string()), ("group_name", pa.string()), ("count_customers", pa.int64()),
    ("rate_now", pa.float64()), ("slope", pa.float64()), ("changed_on", pa.date32()), ("rate_before", pa.float64()),
    ("rate_since", pa.float64()), ("p_value", pa.float64()), ("q_value", pa.float64()), ("is_change", pa.bool_()),
])  # fmt: skip
FUNNEL_SCHEMA = pa.schema([
    ("as_of", pa.date32()), ("step", pa.string()), ("step_number", pa.int64()), ("group_name", pa.string()),
    ("first_date", pa.date32()), ("count_customers", pa.int64()), ("count_continued", pa.int64()),
    ("share_continued", pa.float64()), ("lost_expected", pa.float64()), ("q_value", pa.float64()),
    ("is_drop", pa.bool_()),
])  # fmt: skip


@dg.multi_asset(
    name="trends",
    specs=[
        dg.AssetSpec(
            key=table.split("."),
            deps=[["decisions", view]],
            group_name="signals",
            owners=["team:data-science"],
            kinds={"duckdb", "table"},
            description=description,
        )
        for table, view, description in (
            (TRENDS, "group_weeks", "One row per as_of, indicator and group: its level, its trend, its last change."),
            (
                FUNNEL,
                "funnel_weeks",
                "One row per step of the funnel, group and week: who went on, and abnormal drops.",
            ),
        )
    ],
)
def trends(
    context: dg.AssetExecutionContext, deployment: dg.ResourceParam[Deployment], warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """Look for changes of level in 26 weeks, and for steps of the funnel that lose more than usual."""
    from retention.measuring.trends import find_drops, find_trends

    as_of, rate = read_as_of(context), deployment.policy.incidents.false_discovery_rate
    weeks, steps = (_read(warehouse, view) for view in ("group_weeks", "funnel_weeks"))
    found = find_trends(weeks, false_discovery_rate=rate, seed=deployment.policy.training.seed)
    drops = find_drops(steps, false_discovery_rate=rate)
    warehouse.replace_day(TRENDS, _tabulate(found, TREND_SCHEMA, as_of=as_of), as_of=as_of)
    warehouse.replace(FUNNEL, _tabulate(drops, FUNNEL_SCHEMA, as_of=as_of))
    changes, fallen = int(found["is_change"].sum()), int(drops["is_drop"].sum())
    shown = describe_table(warehouse, TRENDS, as_of=as_of) | {"changes": changes}
    yield dg.MaterializeResult(asset_key=TRENDS.split("."), metadata=shown)
    yield dg.MaterializeResult(
        asset_key=FUNNEL.split("."), metadata=describe_table(warehouse, FUNNEL) | {"drops": fallen}
    )


def _read(warehouse: Warehouse, view: str) -> "pd.DataFrame":
    rows: pd.DataFrame = warehouse.read(WEEKS.format(view=view)).to_pandas(date_as_object=True)
    return rows


def _tabulate(rows: "pd.DataFrame", schema: pa.Schema, *, as_of: date) -> pa.Table:
    return pa.Table.from_pandas(rows.assign(as_of=as_of), schema=schema, preserve_index=False)
