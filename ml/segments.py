"""Models for groups of customers, kept only where a group really behaves differently."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ml.dataset import DatasetError, Floats, Tabular, as_table, column
from ml.evaluate import EvaluationError, evaluate
from ml.pipeline import ChurnModel
from ml.train import Fitted, fit


@dataclass(frozen=True)
class Verdict:
    """Whether a group got a model of its own, and the figures of both on the same later rows of the group."""

    segment: str
    kept: bool
    reason: str
    rows: int
    auc_own: float | None = None
    auc_global: float | None = None


@dataclass(frozen=True)
class SegmentedModel:
    """The global model, and the models of those groups that earned one."""

    segment: str
    shared: ChurnModel
    own: Mapping[str, ChurnModel] = field(default_factory=dict)

    def predict(self, data: Tabular) -> Floats:
        """Return the calibrated probability for each row, by its group's model where there is one."""
        table = as_table(data)
        found = self.shared.predict(table)
        groups = _groups(table, self.segment)
        for name, model in self.own.items():
            mine = np.flatnonzero(groups == name)
            if len(mine):
                found[mine] = model.predict(table.take(pa.array(mine)))
        return found


def fit_segments(
    fitted: Fitted,
    table: Tabular,
    label: str,
    time: str,
    *,
    segment: str,
    margin: float,
    **given: Any,  # noqa: ANN401 - as fit has them
) -> tuple[SegmentedModel, tuple[Verdict, ...]]:
    """Train a model per value of `segment`; keep those that beat the global one on the group's validation rows.

    `fitted` is what `fit` made of the same `table`; `given` are the other arguments it had. A model is kept when its
    AUC is higher by `margin`, its Brier score no worse, and the gain larger than two standard errors of chance.
    """
    whole = as_table(table)
    groups = _groups(whole, segment)
    own, verdicts = {}, []
    for name in sorted({each for each in groups if each is not None}):
        rows = np.flatnonzero(groups == name)
        try:
            mine = fit(whole.take(pa.array(rows)), label, time, **given)
            verdict = _compare(name, fitted, mine, rows, margin)
        except (DatasetError, EvaluationError) as error:
            verdicts.append(Verdict(name, kept=False, reason=str(error), rows=len(rows)))
            continue
        verdicts.append(verdict)
        if verdict.kept:
            own[name] = mine.model
    return SegmentedModel(segment, fitted.model, own), tuple(verdicts)


def _groups(table: pa.Table, segment: str) -> Any:  # noqa: ANN401 - an array of text and None
    return np.array(column(table, segment).cast(pa.string()).to_pylist(), dtype=object)


def _compare(name: str, fitted: Fitted, mine: Fitted, rows: Any, margin: float) -> Verdict:  # noqa: ANN401 - row numbers
    validated = {int(rows[each["row"]]): each for each in mine.validation.to_pylist()}
    shared = {each["row"]: each for each in fitted.validation.to_pylist() if each["row"] in validated}
    both = sorted(shared)
    label = np.array([shared[row]["label"] for row in both])
    ours = evaluate(label, np.array([validated[row]["probability"] for row in both]))
    theirs = evaluate(label, np.array([shared[row]["probability"] for row in both]))
    gain, chance = ours.auc - theirs.auc, _chance(label)
    kept = gain >= max(margin, 2 * chance) and ours.brier <= theirs.brier
    reason = (
        f"AUC {ours.auc:.4f} against {theirs.auc:.4f} of the global model; {max(margin, 2 * chance):.4f} more needed"
    )
    return Verdict(name, kept, reason, len(rows), ours.auc, theirs.auc)


def _chance(label: Floats) -> float:
    """Return the standard error of the difference of two AUCs on the same rows, taken as correlated by 0.8.

    The error of one at AUC 0.8 follows Hanley and McNeil, Radiology 1982.
    """
    churned, stayed = label.sum(), len(label) - label.sum()
    auc, first, second = 0.8, 0.8 / 1.2, 2 * 0.64 / 1.8
    variance = auc * (1 - auc) + (churned - 1) * (first - auc**2) + (stayed - 1) * (second - auc**2)
    return float((2 * (1 - 0.8) * variance / (churned * stayed)) ** 0.5)
