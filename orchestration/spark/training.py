"""The trees of a run's challenger grown on Spark from all labelled rows, for `HOLDFAST_MODELS_ON=spark`."""

import json

from ml.training.grouped import read_model
from ml.training.pipeline import ChurnModel
from ml.training.spark import Grown, Regrowth
from orchestration.deployment import Deployment
from orchestration.spark.build import call_stages
from orchestration.spark.job import Stages
from orchestration.training_set import LABELLED, name_learned
from orchestration.warehouse import Warehouse


def grow_on_spark(deployment: Deployment, warehouse: Warehouse, regrowth: Regrowth) -> Grown:
    """Return the model with trees of all labelled rows, which no process but Spark's reads.

    Raises SparkError when Spark is missing or breaks.
    """
    learned = name_learned(until=regrowth.until, newest=regrowth.newest)
    given = {"relation": LABELLED, "condition": learned, "failure": "Spark grew no trees"}
    folder = call_stages(deployment, warehouse, Stages(regrowth=regrowth), name="training", **given)
    model = read_model(folder.model.read_bytes())
    if not isinstance(model, ChurnModel):
        raise TypeError("a model of groups has no trees of its own")
    return Grown.restore(model, json.loads(folder.report.read_text())["training"])
