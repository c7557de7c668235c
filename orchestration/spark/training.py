"""The trees of a run's challenger grown on Spark from all labelled rows, for `HOLDFAST_MODELS_ON=spark`."""

import json

from ml.training.grouped import read_model
from ml.training.pipeline import ChurnModel
from ml.training.spark import Grown, Regrowth
from orchestration.deployment import Deployment
from orchestration.spark.build import SparkError, require_spark, start_worker
from orchestration.spark.exchange import export_rows
from orchestration.spark.job import Job, SparkFolder, Stages
from orchestration.training_set import LABELLED, name_learned
from orchestration.warehouse import Warehouse


def grow_on_spark(deployment: Deployment, warehouse: Warehouse, regrowth: Regrowth) -> Grown:
    """Return the model with trees of all labelled rows, which no process but Spark's reads.

    Raises SparkError when Spark is missing or breaks.
    """
    settings = deployment.settings
    require_spark(settings)
    folder = SparkFolder(path=settings.spark_folder / "training")
    folder.clear()
    folder.report.unlink(missing_ok=True)
    learned = name_learned(until=regrowth.until, newest=regrowth.newest)
    export_rows(warehouse, LABELLED, folder, condition=learned)
    job = Job(
        folder=folder, master=settings.spark_master, memory=settings.spark_memory, command=(),
        stages=Stages(regrowth=regrowth),
    )  # fmt: skip
    start_worker(job, environment=settings.environment)
    if not folder.report.exists():
        raise SparkError(f"Spark grew no trees on {settings.spark_master}; what it reported is in {folder.log}.")
    model = read_model(folder.model.read_bytes())
    if not isinstance(model, ChurnModel):
        raise TypeError("a model of groups has no trees of its own")
    return Grown.restore(model, json.loads(folder.report.read_text())["training"])
