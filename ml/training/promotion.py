"""Whether a challenger becomes champion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from company.policy.training import Promotion
from ml.dataset import Floats, Tabular, as_table, days
from ml.evaluate import Evaluation, evaluate
from ml.monitoring.drift import calibration_by_chance
from ml.training.pipeline import Model
from ml.training.train import Fitted


@dataclass(frozen=True)
class Decision:
    """What was decided, and why, in one sentence; `is_sound` where nothing speaks against the version on its own."""

    promote: bool
    reason: str
    is_sound: bool = True


@dataclass(frozen=True)
class Comparison:
    """A decision with the figures behind it, both on the same rows."""

    decision: Decision
    challenger: Evaluation
    champion: Evaluation | None


def compare(
    fitted: Fitted,
    champion: Model | None,
    table: Tabular,
    *,
    time: str,
    promotion: Promotion,
    capacity: float,
    objections: Sequence[str] = (),
) -> Comparison:
    """Decide on rows of the training `table` that neither model had learned from.

    `objections` are clauses against the challenger from elsewhere, such as unfairness; one is enough to refuse it.

    The challenger is judged by its validation probabilities, given before it learned from those rows; the champion by
    its own on the same rows, of snapshots later than it was trained until. Without any such row nothing is promoted.
    """
    rows = fitted.validation
    if champion is not None and champion.trained_until is not None:
        when = days(as_table(table), time)[rows.column("row").to_numpy()]
        later = when > np.datetime64(champion.trained_until, "D")
        rows = rows.filter(pa.array(later))
    if not rows.num_rows:
        given = evaluate(*_figures(fitted.validation), capacity=capacity)
        reason = (
            f"no labelled snapshot is later than {champion.trained_until if champion else None}, the champion's last"
        )
        return Comparison(Decision(promote=False, reason=reason, is_sound=False), given, None)
    label, probability = _figures(rows)
    challenger = evaluate(label, probability, capacity=capacity)
    if champion is None:
        return Comparison(decide(challenger, None, promotion=promotion, objections=objections), challenger, None)
    same = as_table(table).take(rows.column("row"))
    other = evaluate(label, champion.predict(same), capacity=capacity)
    decision = decide(challenger, other, promotion=promotion, objections=objections)
    return Comparison(decision, challenger, other)


def _figures(validation: pa.Table) -> tuple[Floats, Floats]:
    return validation.column("label").to_numpy(), validation.column("probability").to_numpy()


def decide(
    challenger: Evaluation, champion: Evaluation | None, *, promotion: Promotion, objections: Sequence[str] = ()
) -> Decision:
    """Decide from evaluations on the same later data.

    The challenger must gain over the baseline that always answers with the base rate, whatever its accuracy: see
    `list_refusals`. Then it must beat the champion's AUC by the policy's margin without a worse Brier score, or beat
    the Brier score by that share of the baseline's without a worse AUC.
    """
    against = (*list_refusals(challenger, promotion), *objections)
    if against:
        return Decision(promote=False, reason="refused: " + "; ".join(against), is_sound=False)
    if champion is None:
        return Decision(promote=True, reason=f"first champion: AUC {challenger.auc:.4f}, {_describe(challenger)}")
    if (challenger.n, challenger.base_rate) != (champion.n, champion.base_rate):
        raise ValueError(
            f"challenger ({challenger.n} rows) and champion ({champion.n} rows) were evaluated on different data. "
            "Evaluate both on the same later snapshot."
        )
    return _compare(challenger, champion, promotion.margin)


def list_refusals(evaluation: Evaluation, promotion: Promotion) -> tuple[str, ...]:
    """Return what speaks against a model on its own, each as a clause; empty if nothing does.

    The PR-AUC must lie `minimum_gain` above the base rate, which is what chance reaches. Accuracy can only refuse:
    where one outcome is rare, answering always alike is nearly always right. Accuracy and
    calibration are allowed what chance does to samples of that size.
    """
    shown = evaluation
    gain = shown.pr_auc - shown.base_rate
    gap = float(np.hypot(promotion.maximum_calibration_error, calibration_by_chance(shown)))
    checks = (
        (shown.brier_skill > 0, f"its Brier score is no better than the base rate's (skill {shown.brier_skill:.3f})"),
        (
            gain > promotion.minimum_gain,
            f"its PR-AUC is {gain:.3f} above the base rate, {promotion.minimum_gain:.3f} is too little",
        ),
        (shown.auc >= promotion.minimum_auc, f"its AUC {shown.auc:.3f} is below {promotion.minimum_auc:.3f}"),
        (
            shown.lift_at_capacity > 1,
            f"its top {shown.capacity:.0%} churn only {shown.lift_at_capacity:.2f} times as often as all",
        ),
        (
            shown.ece <= gap,
            f"its calibration error {shown.ece:.3f} is above {gap:.3f}",
        ),
        (
            shown.accuracy >= shown.majority_accuracy - _chance(shown),
            f"its accuracy {shown.accuracy:.1%} is below the {shown.majority_accuracy:.1%} of answering always alike",
        ),
    )
    return tuple(clause for holds, clause in checks if not holds)


def _chance(shown: Evaluation) -> float:
    """Return two standard errors of the majority baseline's accuracy."""
    return float(2 * (shown.majority_accuracy * (1 - shown.majority_accuracy) / shown.n) ** 0.5)


def _compare(challenger: Evaluation, champion: Evaluation, margin: float) -> Decision:
    auc = challenger.auc - champion.auc
    skill = challenger.brier_skill - champion.brier_skill
    better = (auc >= margin and skill >= 0) or (skill >= margin and auc >= 0)
    verdict = "beats" if better else "does not beat"
    return Decision(
        promote=better,
        reason=f"{verdict} the champion by {margin:.4f}: AUC {challenger.auc:.4f} against {champion.auc:.4f}, "
        f"Brier skill {challenger.brier_skill:.4f} against {champion.brier_skill:.4f}, on {challenger.n} later rows",
    )


def _describe(shown: Evaluation) -> str:
    return (
        f"accuracy {shown.accuracy:.1%} next to a majority baseline of {shown.majority_accuracy:.1%}, "
        f"calibration error {shown.ece:.3f}"
    )
