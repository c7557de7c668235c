"""The trees of a model grown by XGBoost on the executors, from more labelled rows than the driver learns from."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from company.policy.training import Promotion, Training
from ml.dataset import labels
from ml.evaluate import Evaluation, evaluate, intervals
from ml.learners.base import Learner
from ml.learners.trees import BINS, Trees
from ml.training.grouped import GroupedModel
from ml.training.pipeline import ChurnModel, Model
from ml.training.promotion import list_refusals
from ml.training.train import Fitted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LABEL = "churned"


@dataclass(frozen=True, kw_only=True)
class Regrowth:
    """A model whose trees are to learn from all labelled rows, of snapshots up to `newest`, known on the day `until`.

    `capacity` is for the lift.
    """

    model: ChurnModel
    until: date
    newest: date
    capacity: float


def plan_regrowth(model: Model, *, known: int, until: date, newest: date, training: Training) -> Regrowth | None:
    """Return how a model learns from the `known` rows on Spark.

    None where they fit the driver, the model has no trees, or treated customers count through weights.
    """
    shared = _find_shared(model)
    if known <= training.maximum_rows or training.treated != "untreated" or shared is None:
        return None
    return Regrowth(model=shared, until=until, newest=newest, capacity=training.capacity_share)


def _find_shared(model: Model) -> ChurnModel | None:
    """Return the model of all customers, where it has trees."""
    shared = model.shared if isinstance(model, GroupedModel) else model
    has_trees = isinstance(shared, ChurnModel) and any(isinstance(each, Trees) for each in shared.members.values())
    return shared if isinstance(shared, ChurnModel) and has_trees else None


@dataclass(frozen=True, kw_only=True)
class Grown:
    """The model of all `rows`, and how one of the `earlier` ones did on the newest snapshot, which it had not seen."""

    model: ChurnModel
    rows: int
    earlier: int
    evaluation: Evaluation

    def describe(self) -> dict[str, Any]:
        """Return what a report shows."""
        return {"rows": self.rows, "earlier": self.earlier, **asdict(self.evaluation)}

    @classmethod
    def restore(cls, model: ChurnModel, described: Mapping[str, Any]) -> Self:
        """Rebuild from the model and what `describe` returned."""
        figures = {each.name: described[each.name] for each in fields(Evaluation)}
        return cls(model=model, rows=described["rows"], earlier=described["earlier"], evaluation=Evaluation(**figures))


def regrow(labelled: "DataFrame", regrowth: Regrowth) -> Grown:
    """Grow a model's trees on all `labelled` rows, and on those known on the newest snapshot's day, to evaluate them.

    The trees that are evaluated are of one seed each, where the model averages those of several.
    """
    rows, newest = labelled.persist(), f"date '{regrowth.newest}'"
    try:
        earlier = rows.where(f"label_until <= {newest}")
        evaluated = grow(earlier, _thin(regrowth.model))
        label, probability = _predict(rows.where(f"as_of = {newest}"), evaluated)
        return Grown(
            model=grow(rows, regrowth.model),
            rows=rows.count(),
            earlier=earlier.count(),
            evaluation=evaluate(label, probability, capacity=regrowth.capacity),
        )
    finally:
        rows.unpersist()


def adopt(fitted: Fitted, grown: Grown, *, promotion: Promotion, seed: int) -> tuple[Fitted, str]:
    """Return a training with the trees of all rows in its model, and in one sentence why; or as it was, and why.

    They are taken unless the policy refuses their figures on the newest snapshot, or they rank worse there than the
    sample's did, which had not seen it either, and not by chance.
    """
    seen = fitted.validation.filter(pc.equal(fitted.validation["fold"], pc.max(fitted.validation["fold"])))
    label, probability = (seen.column(name).to_numpy() for name in ("label", "probability"))
    sampled = intervals(label, probability, capacity=grown.evaluation.capacity, seed=seed)["auc"]
    figures = (
        f"AUC {grown.evaluation.auc:.4f} on the newest snapshot, learned from {grown.earlier:,} earlier rows; of the "
        f"sample {sampled.value:.4f}, at least {sampled.low:.4f} but for chance"
    )
    refusals = list_refusals(grown.evaluation, promotion)
    if refusals or grown.evaluation.auc < sampled.low:
        return fitted, f"the sample's trees, not those of all {grown.rows:,} rows: {', '.join([*refusals, figures])}"
    adopted = replace(fitted, model=_put_back(fitted.model, grown.model), rows=grown.rows)
    return adopted, f"grown on Spark from all {grown.rows:,} rows: {figures}"


def _put_back(model: Model, shared: ChurnModel) -> Model:
    return replace(model, shared=shared) if isinstance(model, GroupedModel) else shared


def _thin(model: ChurnModel) -> ChurnModel:
    members = {name: replace(each, bags=1) if isinstance(each, Trees) else each for name, each in model.members.items()}
    return replace(model, members=members)


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
