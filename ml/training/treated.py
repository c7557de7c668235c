"""Training that knows who was treated: a treated customer who stayed says little about who stays untreated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Floats, Tabular, as_table, column, labels, split_by_chance
from ml.encode import Encoder
from ml.evaluate import Evaluation, evaluate
from ml.learners.members import Compute, Linear
from ml.training.pipeline import ChurnModel
from ml.training.train import FEWEST, Fitted, fit

Mode = Literal["untreated", "weighted"]
WEIGHT = "_stands_for"
STRENGTH = 0.03  # of the propensity model: smooth, so that few weights are large


@dataclass(frozen=True)
class TreatedFit:
    """What training found beside the treated.

    `evaluations` hold the same untreated validation rows for both ways of training, in each of two readings: as they
    are ("untreated rows"), and weighed so that they stand for everybody ("all customers").
    """

    fitted: Fitted
    mode: Mode
    treated_share: float
    largest_weight: float
    effective_rows: float
    evaluations: Mapping[str, Mapping[str, Evaluation]]


def fit_beside_treated(
    table: Tabular,
    label: str,
    time: str | None = None,
    *,
    treated: str,
    features: Sequence[str],
    mode: Mode = "untreated",
    largest_weight: float = 10.0,
    seed: int = 0,
    **given: Any,  # noqa: ANN401 - as fit has them
) -> TreatedFit:
    """Train on the untreated rows, plainly or so weighed that they stand for everybody; report both.

    `treated` is a boolean column: the ledger says that the customer was treated between `as_of` and the end of the
    label window; null is untreated. Weights are inverse probabilities of having been left untreated, from a logistic
    regression on `features` that has not seen the row, clipped at `largest_weight`. The way not asked for takes over
    the settings of the other. Where fewer than `FEWEST` rows are treated nothing can be learned of who is, all weights
    are 1, and one fit on the untreated serves for both. Source: Horvitz and
    Thompson, JASA 1952; clipping as in Ionides, "Truncated importance sampling", JCGS 2008.
    """
    whole = as_table(table)
    flag = pc.fill_null(pc.cast(column(whole, treated), pa.bool_()), fill_value=False)
    was_treated = flag.to_numpy(zero_copy_only=False).astype(float)
    known = ~np.isnan(labels(whole, label))
    weight = _weigh(whole, features, was_treated, largest_weight=largest_weight, seed=seed)
    left = np.flatnonzero(was_treated == 0)
    rows = whole.take(pa.array(left)).append_column(WEIGHT, pa.array(weight[left]))
    ways = _fit_ways(rows, label, time, mode, plain=bool((weight == 1).all()), features=features, seed=seed, **given)
    chosen = ways[mode]
    return TreatedFit(
        fitted=_renumber(chosen, left),
        mode=mode,
        treated_share=float(was_treated[known].mean()),
        largest_weight=float(weight[left].max()),
        effective_rows=float(weight[left].sum() ** 2 / (weight[left] ** 2).sum()),
        evaluations={way: _read_both(each, weight[left]) for way, each in ways.items()},
    )


def _fit_ways(
    rows: pa.Table,
    label: str,
    time: str | None,
    mode: Mode,
    *,
    plain: bool,
    **given: Any,  # noqa: ANN401 - as fit has them
) -> dict[Mode, Fitted]:
    if plain:
        fitted = fit(rows, label, time, **given)
        return {"untreated": fitted, "weighted": fitted}
    weights: dict[Mode, str | None] = {"untreated": None, "weighted": WEIGHT}
    other: Mode = "weighted" if mode == "untreated" else "untreated"
    chosen = fit(rows, label, time, weight=weights[mode], **given)
    used = sorted(chosen.model.weights) if isinstance(chosen.model, ChurnModel) else sorted(chosen.recipes)
    settled = {"candidates": used, "recipes": {name: (chosen.recipes[name],) for name in used}}
    return {mode: chosen, other: fit(rows, label, time, weight=weights[other], **{**given, **settled})}


def _weigh(table: pa.Table, features: Sequence[str], treated: Floats, *, largest_weight: float, seed: int) -> Floats:
    """Return for each row 1 over the probability of having been left untreated; 1 where too few tell who is treated."""
    if min(treated.sum(), len(treated) - treated.sum()) < FEWEST:
        return np.ones(len(treated))
    found = np.ones(len(treated))
    for fold in split_by_chance(treated, seed=seed):
        learned = table.take(pa.array(fold.train))
        encoder = Encoder.learn(learned, features)
        model = Linear(strength=STRENGTH)
        model.fit(encoder.encode(learned), treated[fold.train], weight=None, seed=seed, compute=Compute())
        margin = model.margin(encoder.encode(table.take(pa.array(fold.validate))))
        found[fold.validate] = 1 + np.exp(margin)  # 1 / (1 - propensity)
    return np.minimum(found, largest_weight)


def _read_both(fitted: Fitted, weight: Floats) -> dict[str, Evaluation]:
    rows = fitted.validation
    label, probability = (rows.column(name).to_numpy() for name in ("label", "probability"))
    capacity = fitted.evaluations[fitted.chosen].capacity
    stands_for = weight[rows.column("row").to_numpy()]
    return {
        "untreated rows": evaluate(label, probability, capacity=capacity),
        "all customers": evaluate(label, probability, capacity=capacity, weight=stands_for),
    }


def _renumber(fitted: Fitted, left: Any) -> Fitted:  # noqa: ANN401 - row numbers
    """Let the validation rows carry their numbers in the whole table."""
    rows = left[fitted.validation.column("row").to_numpy()]
    return replace(fitted, validation=fitted.validation.set_column(0, "row", pa.array(rows)))
