"""A day of a run scored by partition on Spark, for `HOLDFAST_MODELS_ON=spark`."""

import pyarrow.dataset as ds

from orchestration.deployment import Deployment
from orchestration.scoring import Scorer
from orchestration.spark.build import SparkError, require_spark, start_worker
from orchestration.spark.exchange import export_rows
from orchestration.spark.job import SCORED, Job, SparkFolder, Stages
from orchestration.warehouse import Warehouse

ELIGIBLE = "features.eligible_snapshots"


def score_on_spark(
    deployment: Deployment, warehouse: Warehouse, scorer: Scorer, *, batch: int
) -> dict[str, ds.Dataset]:
    """Return scores, reasons and scores further ahead of the scorer's day, as files that bear the number of the batch.

    Raises SparkError when Spark is missing or breaks.
    """
    settings = deployment.settings
    require_spark(settings)
    folder = SparkFolder(path=settings.spark_folder / "scores")
    folder.clear()
    folder.report.unlink(missing_ok=True)
    export_rows(warehouse, ELIGIBLE, folder, condition=f"as_of = date '{scorer.as_of}'")
    stages = Stages(scorer=scorer, batch=batch)
    job = Job(folder=folder, master=settings.spark_master, memory=settings.spark_memory, command=(), stages=stages)
    start_worker(job, environment=settings.environment)
    if not folder.report.exists():
        raise SparkError(f"Spark scored nobody on {settings.spark_master}; what it reported is in {folder.log}.")
    return {table: ds.dataset(folder.find(table), format="parquet") for table in SCORED}
