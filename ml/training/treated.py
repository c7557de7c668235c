"""Training that knows who was treated: a treated customer who stayed shows little of who stays untreated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Columns, Floats, Tabular, as_table, column, labels, split_by_chance
from ml.encode import Encoder
from ml.evaluate import Evaluation, evaluate
from ml.learners.base import Candidate, Compute
from ml.learners.linear import Linear
from ml.training.config import TrainConfig, Treated
from ml.training.train import Fitted, fit

WEIGHT = "_stands_for"
STRENGTH = 0.03  # of the propensity model: smooth, so that few weights are large


@dataclass(frozen=True)
class TreatedFit:
    """What training found where some customers were treated.

    `evaluations` hold the same untreated validation rows for both ways of training, in each of two readings: as they
    are ("untreated rows"), and weighted so that they stand for everybody ("all customers").
    """

    fitted: Fitted
    mode: Treated
    treated_share: float
    largest_weight: float
    effective_rows: float
    evaluations: Mapping[str, Mapping[str, Evaluation]]


def fit_with_treated(
    table: Tabular,
    columns: Columns,
    config: TrainConfig,
    *,
    candidates: Mapping[str, Sequence[Candidate]] | None = None,
) -> TreatedFit:
    """Train on the untreated rows, as they are or weighted so that they stand for everybody; report both.

    `columns.treated` comes from the ledger; without it nobody was treated. Weights are inverse probabilities of having
    been left untreated, from a logistic regression on the features that has not seen the row, clipped at
    `largest_weight`. The way that `config.treated` does not name takes over the hyperparameters of the other. Where
    fewer than `minimum_of_each` rows are treated nothing can be learned of who is, all weights are 1, and one fit on
    the untreated serves for both. Source: Horvitz and Thompson, JASA 1952; clipping as in Ionides, "Truncated
    importance sampling", JCGS 2008.
    """
    whole = as_table(table)
    was_treated = _read_treated(whole, columns.treated)
    known = ~np.isnan(labels(whole, columns.label))
    features = columns.list_features(whole)
    weight = _weigh(whole, features, was_treated, config)
    left = np.flatnonzero(was_treated == 0)
    rows = whole.take(pa.array(left)).append_column(WEIGHT, pa.array(weight[left]))
    named = replace(columns, features=features)
    fits = _fit_both(rows, named, config, candidates, is_weighted=bool((weight != 1).any()))
    return TreatedFit(
        fitted=_renumber(fits[config.treated], left),
        mode=config.treated,
        treated_share=float(was_treated[known].mean()),
        largest_weight=float(weight[left].max()),
        effective_rows=float(weight[left].sum() ** 2 / (weight[left] ** 2).sum()),
        evaluations={mode: _read_both(each, weight[left]) for mode, each in fits.items()},
    )


def _read_treated(table: pa.Table, name: str | None) -> Floats:
    if name is None:
        return np.zeros(table.num_rows)
    flag = pc.fill_null(pc.cast(column(table, name), pa.bool_()), fill_value=False)
    treated: Floats = flag.to_numpy(zero_copy_only=False).astype(float)
    return treated


def _fit_both(
    rows: pa.Table,
    columns: Columns,
    config: TrainConfig,
    candidates: Mapping[str, Sequence[Candidate]] | None,
    *,
    is_weighted: bool,
) -> dict[Treated, Fitted]:
    if not is_weighted:
        fitted = fit(rows, columns, config, candidates=candidates)
        return {"untreated": fitted, "weighted": fitted}
    by_mode: dict[Treated, Columns] = {"untreated": columns, "weighted": replace(columns, weight=WEIGHT)}
    other: Treated = "weighted" if config.treated == "untreated" else "untreated"
    chosen = fit(rows, by_mode[config.treated], config, candidates=candidates)
    return {config.treated: chosen, other: fit(rows, by_mode[other], config, candidates=chosen.used)}


def _weigh(table: pa.Table, features: Sequence[str], treated: Floats, config: TrainConfig) -> Floats:
    """Return for each row 1 over the probability of having been left untreated; 1 where too few show who is treated."""
    weight = np.ones(len(treated))
    if min(treated.sum(), len(treated) - treated.sum()) < config.minimum_of_each:
        return weight
    for fold in split_by_chance(treated, seed=config.seed):
        train = table.take(pa.array(fold.train))
        encoder = Encoder.learn(train, features)
        model = Linear(strength=STRENGTH)
        model.fit(encoder.encode(train), treated[fold.train], weight=None, seed=config.seed, compute=Compute())
        log_odds = model.log_odds(encoder.encode(table.take(pa.array(fold.validate))))
        weight[fold.validate] = 1 + np.exp(log_odds)  # 1 / (1 - propensity)
    return np.minimum(weight, config.largest_weight)


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
