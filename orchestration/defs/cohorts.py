"""How long customers stay: the survival curve and retention by the month of joining, with intervals."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.warehouse import Warehouse
from retention.measuring.survival import CURVE, TRIANGLE, describe_cohorts, estimate_survival

TENURES = "select * from outcomes.tenure_counts order by all"
COHORTS = "select * from outcomes.cohort_counts order by all"


def _spec(name: str, counts: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["outcomes", name],
        deps=[["outcomes", counts]],
        group_name="outcomes",
        owners=["team:retention"],
        kinds={"duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    name="cohorts",
    specs=[
        _spec(
            "survival",
            "tenure_counts",
            "One row per group and month: the share of customers who are one for so long, with its interval.",
        ),
        _spec(
            "cohort_retention",
            "cohort_counts",
            "One row per group, month of joining and month since: the share that is still there, with its interval.",
        ),
    ],
)
def follow_cohorts(
    deployment: dg.ResourceParam[Deployment], warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """Estimate both from the counts of the day."""
    confidence, fewest = deployment.policy.outcomes.confidence, deployment.policy.cohorts.minimum_customers
    tenures, cohorts = warehouse.read(TENURES).to_pandas(), warehouse.read(COHORTS).to_pandas()
    curve = estimate_survival(tenures, confidence=confidence, fewest=fewest)
    triangle = describe_cohorts(cohorts, confidence=confidence, fewest=fewest)
    for name, frame, schema in (("survival", curve, CURVE), ("cohort_retention", triangle, TRIANGLE)):
        warehouse.replace(f"outcomes.{name}", pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
        yield dg.MaterializeResult(asset_key=["outcomes", name], metadata=describe_table(warehouse, f"outcomes.{name}"))
