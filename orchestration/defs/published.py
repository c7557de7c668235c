"""What people read: one table of customers with their scores and plans, in a file that nobody locks."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from orchestration.deployment import Deployment
from orchestration.gates import require_passed
from orchestration.metadata import describe_schema, describe_table
from orchestration.partitions import read_as_of
from orchestration.published import Published
from orchestration.warehouse import Warehouse
from retention.store.store import Store

OWNER = "team:data"
CUSTOMERS = "select * from decisions.published_customers order by customer_id"


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["published", table],
        deps=[["decisions", "published_customers"], ["scores", "churn_reasons"], ["retention", "plans"]],
        group_name="published",
        owners=[OWNER],
        kinds={"duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    name="published",
    specs=[
        _spec(
            "customers",
            "One row per customer: the 360 view with score, reason and decision, to read at any time.",
        ),
        _spec("segments", "One row per declared segment and as_of: customers and money at risk in it."),
    ],
)
def publish(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
    published: dg.ResourceParam[Published],
) -> Iterator[dg.MaterializeResult[None]]:
    """Swap in what passed the gates, and count the declared segments in it."""
    as_of = read_as_of(context)
    require_passed(warehouse, store, "plans", as_of=as_of)
    warehouse.publish(published.path, {"customers": CUSTOMERS})
    for former in published.path.parent.glob("*.duckdb"):  # what an earlier release published under another name
        if former != published.path:
            former.unlink()
    rows = []
    for name, declared in deployment.policy.segments.items():
        found = published.segment(declared.filter, limit=0)
        rows.append({"as_of": as_of, "segment": name, **declared.model_dump()})
        rows[-1] |= {"customers": found.count, "money_at_risk": found.money_at_risk}
    if rows:
        warehouse.replace_day("published.segments", pa.Table.from_pylist(rows), as_of=as_of)
    everybody = published.segment("true", limit=0)
    yield dg.MaterializeResult(
        asset_key=["published", "customers"],
        metadata={
            "dagster/row_count": everybody.count,
            "dagster/column_schema": describe_schema(everybody.customers.schema),
            "file": dg.MetadataValue.path(str(published.path.relative_to(deployment.settings.home))),
        },
    )
    yield dg.MaterializeResult(
        asset_key=["published", "segments"],
        metadata=(describe_table(warehouse, "published.segments", as_of=as_of) if rows else {"dagster/row_count": 0})
        | {row["segment"]: row["customers"] for row in rows},
    )
