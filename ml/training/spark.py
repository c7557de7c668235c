"""The trees of a model grown by XGBoost on the executors, from more labelled rows than the driver learns from."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from company.policy.training import Training
from ml.dataset import labels
from ml.evaluate import Evaluation, evaluate
from ml.learners.base import Learner
from ml.learners.trees import BINS, Trees
from ml.training.grouped import GroupedModel
from ml.training.pipeline import ChurnModel, Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LABEL = "churned"


@dataclass(frozen=True, kw_only=True)
class Regrowth:
    """A model whose trees are to learn from all labelled rows known on the day `until`; `capacity` is for the lift."""

    model: ChurnModel
    until: date
    capacity: float


def plan_regrowth(model: Model, *, known: int, until: date, training: Training) -> Regrowth | None:
    """Return how a model learns from the `known` rows on Spark; None where they fit the driver, or it has no trees."""
    shared = model.shared if isinstance(model, GroupedModel) else model
    has_trees = isinstance(shared, ChurnModel) and any(isinstance(each, Trees) for each in shared.members.values())
    if known <= training.maximum_rows or not isinstance(shared, ChurnModel) or not has_trees:
        return None
    return Regrowth(model=shared, until=until, capacity=training.capacity_share)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """The model of all `rows`, and how one of the `earlier` ones did on the newest snapshot, which it had not seen."""

    model: ChurnModel
    rows: int
    earlier: int
    newest: date
    evaluation: Evaluation

    def describe(self) -> dict[str, Any]:
        """Return what a report shows."""
        return {"rows": self.rows, "earlier": self.earlier, "newest": str(self.newest), **asdict(self.evaluation)}


def regrow(labelled: "DataFrame", regrowth: Regrowth) -> Grown:
    """Grow a model's trees on all `labelled` rows, and on those known on the newest snapshot's day, to judge them."""
    rows = labelled.persist()
    try:
        newest = rows.selectExpr("max(as_of) as newest").collect()[0]["newest"]
        earlier = rows.where(f"label_until <= date '{newest}'")
        judged = grow(earlier, regrowth.model)
        label, probability = _predict(rows.where(f"as_of = date '{newest}'"), judged)
        return Grown(
            model=grow(rows, regrowth.model),
            rows=rows.count(),
            earlier=earlier.count(),
            newest=newest,
            evaluation=evaluate(label, probability, capacity=regrowth.capacity),
        )
    finally:
        rows.unpersist()


def grow(labelled: "DataFrame", model: ChurnModel) -> ChurnModel:
    """Return the model with trees of all `labelled` rows; what else it is made of stays as its sample taught it."""
    matrix = _encode(labelled, model).persist()
    try:
        return replace(model, members={name: _grow_member(matrix, each) for name, each in model.members.items()})
    finally:
        matrix.unpersist()


def _grow_member(matrix: "DataFrame", member: Learner) -> Learner:
    if not isinstance(member, Trees):
        return member
    grown = replace(member)
    grown.boosters_ = [_grow_bag(matrix, member, seed=1000 * bag) for bag in range(member.bags)]
    return grown


def _grow_bag(matrix: "DataFrame", member: Trees, *, seed: int) -> str:
    from xgboost.spark import SparkXGBClassifier

    learner = SparkXGBClassifier(
        features_col=[name for name in matrix.columns if name != LABEL],
        label_col=LABEL,
        num_workers=matrix.sparkSession.sparkContext.defaultParallelism,
        n_estimators=member.rounds,
        num_parallel_tree=member.width,
        tree_method="hist",
        max_bin=BINS,
        random_state=seed,
        **member.params,
    )
    booster = learner.fit(matrix).get_booster()
    booster.feature_names = booster.feature_types = None  # the learners' matrix has none
    return base64.b64encode(booster.save_raw("ubj")).decode()


def _encode(labelled: "DataFrame", model: ChurnModel) -> "DataFrame":
    """Return the matrix that the model's learners read, a column each, and the label."""
    width = len(model.encoder.owners) + len(model.encoder.totals)

    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            table = pa.Table.from_batches([rows])
            columns = [*model.encoder.encode(table).T, labels(table, LABEL)]
            yield pa.RecordBatch.from_arrays([pa.array(np.ascontiguousarray(each)) for each in columns], names)

    names = [*(f"x{place}" for place in range(width)), LABEL]
    kinds = ["float"] * width + ["double"]
    schema = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
    return labelled.mapInArrow(encode, schema)


def _predict(rows: "DataFrame", model: ChurnModel) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return labels and probabilities, which is all that the driver sees of the rows."""

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for each in batches:
            table = pa.Table.from_batches([each])
            yield pa.RecordBatch.from_arrays(
                [pa.array(labels(table, LABEL)), pa.array(model.predict(table))], [LABEL, "probability"]
            )

    found = rows.mapInArrow(predict, f"{LABEL} double, probability double").toArrow()
    return found[LABEL].to_numpy(), found["probability"].to_numpy()
