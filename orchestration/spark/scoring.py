"""A day of a run scored by partition on Spark, for `HOLDFAST_MODELS_ON=spark`."""

import pyarrow.dataset as ds

from orchestration.deployment import Deployment
from orchestration.scoring import Scorer
from orchestration.spark.build import call_stages
from orchestration.spark.job import SCORED, Stages
from orchestration.warehouse import Warehouse

ELIGIBLE = "features.eligible_snapshots"


def score_on_spark(
    deployment: Deployment, warehouse: Warehouse, scorer: Scorer, *, batch: int
) -> dict[str, ds.Dataset]:
    """Return scores, reasons and scores further ahead of the scorer's day, as files that bear the number of the batch.

    Raises SparkError when Spark is missing or breaks.
    """
    given = {"relation": ELIGIBLE, "condition": f"as_of = date '{scorer.as_of}'", "failure": "Spark scored nobody"}
    folder = call_stages(deployment, warehouse, Stages(scorer=scorer, batch=batch), name="scores", **given)
    return {table: ds.dataset(folder.find(table), format="parquet") for table in SCORED}
