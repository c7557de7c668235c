"""Models for groups of customers, kept only where a group really behaves differently."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ml.dataset import Columns, DatasetError, Floats, Rows, Tabular, as_table
from ml.evaluate import EvaluationError, evaluate
from ml.training.config import TrainConfig
from ml.training.grouped import GroupedModel, list_groups
from ml.training.pipeline import ChurnModel, Model
from ml.training.train import Fitted, fit


@dataclass(frozen=True)
class GroupComparison:
    """Whether a group got a model of its own, and the figures of both on the same later rows of the group."""

    group: str
    has_own_model: bool
    reason: str
    rows: int
    auc_own: float | None = None
    auc_shared: float | None = None


def fit_groups(
    fitted: Fitted, table: Tabular, columns: Columns, config: TrainConfig, *, group: str
) -> tuple[Fitted, tuple[GroupComparison, ...]]:
    """Train a model per value of the column `group`; keep those that beat the shared one on the validation rows.

    `fitted` is what `fit` made of the same `table`, with the same `columns` and `config`. Each group takes over the
    hyperparameters that were found for all. Its model is kept when its AUC is higher by `group_margin`, its Brier score
    no worse, and the gain larger than two standard errors of chance. Returns `fitted` itself where none is kept; else
    one whose model is a `GroupedModel`, whose validation rows carry the kept models' probabilities, and whose
    evaluations count it as one more candidate.
    """
    whole = as_table(table)
    groups = list_groups(whole, group)
    own, comparisons, better = {}, [], {}
    for name in sorted({each for each in groups if each is not None}):
        rows = np.flatnonzero(groups == name)
        try:
            mine = fit(whole.take(pa.array(rows)), columns, config, candidates=fitted.used)
            comparison = _compare(name, fitted, mine, rows, config.group_margin)
        except (DatasetError, EvaluationError) as error:
            comparisons.append(GroupComparison(name, has_own_model=False, reason=str(error), rows=len(rows)))
            continue
        comparisons.append(comparison)
        if comparison.has_own_model:
            own[name] = _plain(mine.model)
            better.update(_by_row(mine, rows))
    return (_join(fitted, group, own, better) if own else fitted), tuple(comparisons)


def _join(fitted: Fitted, group: str, own: Mapping[str, ChurnModel], better: Mapping[int, float]) -> Fitted:
    rows = fitted.validation.column("row").to_pylist()
    shared = fitted.validation.column("probability").to_pylist()
    probability = np.array([better.get(row, before) for row, before in zip(rows, shared, strict=True)])
    place = fitted.validation.column_names.index("probability")
    shown = fitted.evaluations[fitted.chosen]
    figures = evaluate(fitted.validation.column("label").to_numpy(), probability, capacity=shown.capacity)
    name = f"{fitted.chosen} by {group}"
    return replace(
        fitted,
        model=GroupedModel(group, _plain(fitted.model), own),
        chosen=name,
        evaluations={**fitted.evaluations, name: figures},
        validation=fitted.validation.set_column(place, "probability", pa.array(probability)),
    )


def _plain(model: Model) -> ChurnModel:
    if not isinstance(model, ChurnModel):
        raise TypeError("the model has models of groups already. Give fit_groups what fit returned.")
    return model


def _by_row(mine: Fitted, rows: Rows) -> dict[int, float]:
    """Return the out-of-fold predictions of a group's model by row of the whole table."""
    validation = zip(
        mine.validation.column("row").to_pylist(), mine.validation.column("probability").to_pylist(), strict=True
    )
    return {int(rows[row]): probability for row, probability in validation}


def _compare(name: str, fitted: Fitted, mine: Fitted, rows: Rows, margin: float) -> GroupComparison:
    validated = _by_row(mine, rows)
    shared = {each["row"]: each for each in fitted.validation.to_pylist() if each["row"] in validated}
    both = sorted(shared)
    label = np.array([shared[row]["label"] for row in both])
    ours = evaluate(label, np.array([validated[row] for row in both]))
    theirs = evaluate(label, np.array([shared[row]["probability"] for row in both]))
    gain, chance = ours.auc - theirs.auc, _chance(label)
    is_better = gain >= max(margin, 2 * chance) and ours.brier <= theirs.brier
    reason = (
        f"AUC {ours.auc:.4f} against {theirs.auc:.4f} of the shared model; {max(margin, 2 * chance):.4f} more needed"
    )
    return GroupComparison(name, is_better, reason, len(rows), ours.auc, theirs.auc)


def _chance(label: Floats) -> float:
    """Return the standard error of the difference of two AUCs on the same rows, taken as correlated by 0.8.

    The error of one at AUC 0.8 follows Hanley and McNeil, Radiology 1982.
    """
    churned, stayed = label.sum(), len(label) - label.sum()
    auc, first, second = 0.8, 0.8 / 1.2, 2 * 0.64 / 1.8
    variance = auc * (1 - auc) + (churned - 1) * (first - auc**2) + (stayed - 1) * (second - auc**2)
    return float((2 * (1 - 0.8) * variance / (churned * stayed)) ** 0.5)
