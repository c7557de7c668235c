"""How good a score is, with accuracy always beside the baseline that it has to beat."""

from dataclasses import asdict, dataclass

import numpy as np

from ml.dataset import Floats

EVEN = 0.5  # the probability from which on accuracy counts a customer as churned


@dataclass(frozen=True)
class Evaluation:
    """Figures of one set of probabilities against what happened; all are shares in [0, 1] but `n` and the lift."""

    n: int
    base_rate: float
    auc: float
    pr_auc: float
    brier: float
    ece: float
    log_loss: float
    accuracy: float
    majority_accuracy: float
    lift_at_capacity: float
    capacity: float

    @property
    def brier_skill(self) -> float:
        """Share of the baseline's Brier score that the model removes; 0 is no gain over the base rate."""
        return 1 - self.brier / (self.base_rate * (1 - self.base_rate))

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name, the Brier skill among them."""
        return {**asdict(self), "brier_skill": self.brier_skill}


class EvaluationError(ValueError):
    """There is nothing to evaluate; the message says what is missing."""


def evaluate(label: Floats, probability: Floats, *, capacity: float = 0.10, bins: int = 10) -> Evaluation:
    """Compare labels 0/1 (n) with probabilities (n).

    `capacity` is the share of customers that can be contacted; the lift is their churn rate over the base rate.
    Raises an `EvaluationError` where both classes are not present.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    base = _base_rate(label)
    return Evaluation(
        n=len(label),
        base_rate=base,
        auc=float(roc_auc_score(label, probability)),
        pr_auc=float(average_precision_score(label, probability)),
        brier=float(brier_score_loss(label, probability)),
        ece=expected_calibration_error(label, probability, bins=bins),
        log_loss=float(log_loss(label, probability)),
        accuracy=float(np.mean((probability >= EVEN) == (label > 0))),
        majority_accuracy=max(base, 1 - base),
        lift_at_capacity=lift(label, probability, capacity=capacity),
        capacity=capacity,
    )


def expected_calibration_error(label: Floats, probability: Floats, *, bins: int = 10) -> float:
    """Mean distance between predicted and observed rate over `bins` groups of equal size, ordered by score."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(probability[part].mean() - label[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(label))


def lift(label: Floats, probability: Floats, *, capacity: float) -> float:
    """Churn rate among the top `capacity` share over the base rate; ties are shared out evenly."""
    reach = max(1.0, capacity * len(label))
    scores, group = np.unique(-probability, return_inverse=True)
    size = np.bincount(group, minlength=len(scores)).astype(float)
    churned = np.bincount(group, weights=label, minlength=len(scores))
    room = np.clip(reach - (np.cumsum(size) - size), 0, size)
    return float((churned / size) @ room / reach / label.mean())


def _base_rate(label: Floats) -> float:
    if not len(label) or not 0 < label.mean() < 1:
        raise EvaluationError(
            f"{len(label)} labels with {int(label.sum())} churned cannot be evaluated: both outcomes must occur. "
            "Evaluate on a later or larger slice."
        )
    return float(label.mean())
