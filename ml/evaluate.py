"""How good a score is, with accuracy always next to the baseline that it has to beat."""

from dataclasses import asdict, dataclass

import numpy as np

from ml.dataset import Floats, Rows

EVEN = 0.5  # the probability from which on accuracy counts a customer as churned
WILSON = 1.96  # standard errors of a 95 % interval


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


def base_rate_log_loss(rate: float) -> float:
    """Return the log loss of predicting the base rate for everybody: the unit in which log losses are compared."""
    from scipy.special import entr

    return float(entr([rate, 1 - rate]).sum())


class EvaluationError(ValueError):
    """There is nothing to evaluate; the message states what is missing."""


def evaluate(
    label: Floats, probability: Floats, *, capacity: float = 0.10, bins: int = 10, weight: Floats | None = None
) -> Evaluation:
    """Compare labels 0/1 (n) with probabilities (n).

    `capacity` is the share of customers that can be contacted; the lift is their churn rate over the base rate.
    `weight` (n, default 1) is how many customers a row stands for. Raises an `EvaluationError` where both classes
    are not present.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    stands_for = np.ones(len(label)) if weight is None else weight
    base = _base_rate(label, stands_for)
    given = {"sample_weight": weight}
    return Evaluation(
        n=len(label),
        base_rate=base,
        auc=float(roc_auc_score(label, probability, **given)),
        pr_auc=float(average_precision_score(label, probability, **given)),
        brier=float(brier_score_loss(label, probability, **given)),
        ece=expected_calibration_error(label, probability, bins=bins, weight=weight),
        log_loss=float(log_loss(label, probability, **given)),
        accuracy=float(np.average((probability >= EVEN) == (label > 0), weights=weight)),
        majority_accuracy=max(base, 1 - base),
        lift_at_capacity=lift(label, probability, capacity=capacity, weight=weight),
        capacity=capacity,
    )


def expected_calibration_error(
    label: Floats, probability: Floats, *, bins: int = 10, weight: Floats | None = None
) -> float:
    """Mean distance between predicted and observed rate over `bins` groups of equal size, ordered by score."""
    stands_for = np.ones(len(label)) if weight is None else weight
    order = np.argsort(probability, kind="stable")
    gap = stands_for * (probability - label)
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(gap[part].sum()) for part in parts) / stands_for.sum())


def lift(label: Floats, probability: Floats, *, capacity: float, weight: Floats | None = None) -> float:
    """Churn rate among the top `capacity` share over the base rate; ties are shared out evenly."""
    stands_for = np.ones(len(label)) if weight is None else weight
    total = stands_for.sum()
    reach = min(total, max(1.0, capacity * total))
    scores, group = np.unique(-probability, return_inverse=True)
    size = np.bincount(group, weights=stands_for, minlength=len(scores))
    churned = np.bincount(group, weights=stands_for * label, minlength=len(scores))
    room = np.clip(reach - (np.cumsum(size) - size), 0, size)
    rate = np.divide(churned, size, out=np.zeros(len(size)), where=size > 0)
    return float(rate @ room / reach / (stands_for @ label / total))


def _base_rate(label: Floats, weight: Floats) -> float:
    rate = weight @ label / weight.sum() if len(label) and weight.sum() > 0 else 0.0
    if not 0 < rate < 1:
        raise EvaluationError(
            f"{len(label)} labels with {int(label.sum())} churned cannot be evaluated: both outcomes must occur. "
            "Evaluate on a later or larger table."
        )
    return float(rate)


@dataclass(frozen=True)
class Interval:
    """A figure with the interval that holds it at the stated coverage."""

    value: float
    low: float
    high: float


def intervals(
    label: Floats, probability: Floats, *, capacity: float = 0.10, bins: int = 10, draws: int = 300,
    coverage: float = 0.95, seed: int = 0,
) -> dict[str, Interval]:  # fmt: skip
    """Return `auc`, `pr_auc`, `brier`, `ece` and `lift_at_capacity` with percentile bootstrap intervals.

    Customers are drawn with replacement, `draws` times. The calibration error of few rows is never near 0, since
    chance alone opens gaps; its interval is shifted by that excess and so holds the error of the population.
    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993.
    """
    _base_rate(label, np.ones(len(label)))
    sample = _Sample.of(label, probability, capacity=capacity, bins=bins)
    exact = sample.figures(np.ones(len(label)))
    draw = np.random.default_rng(seed)
    found = [sample.figures(_counts(draw, len(label))) for _ in range(draws)]
    drawn = {name: np.array([each[name] for each in found]) for name in exact}
    drawn["ece"] = np.maximum(drawn["ece"] - (drawn["ece"].mean() - exact["ece"]), 0)
    ends = ((1 - coverage) / 2, (1 + coverage) / 2)
    return {
        name: Interval(value, *(float(end) for end in np.nanquantile(drawn[name], ends)))
        for name, value in exact.items()
    }


@dataclass(frozen=True)
class _Sample:
    """Rows from the highest score down, so that a draw is only a weight per row."""

    label: Floats
    probability: Floats
    last_of_tie: Rows  # row numbers at which the score changes
    bin_of: Rows
    bins: int
    capacity: float

    @classmethod
    def of(cls, label: Floats, probability: Floats, *, capacity: float, bins: int) -> "_Sample":
        order = np.argsort(-probability, kind="stable")
        sorted_by_score = probability[order]
        ties = np.flatnonzero(np.append(np.diff(sorted_by_score) != 0, True))
        bin_of = np.empty(len(label), dtype=np.intp)
        for number, part in enumerate(np.array_split(np.argsort(probability, kind="stable"), bins)):
            bin_of[part] = number
        return cls(label[order], sorted_by_score, ties, bin_of[order], bins, capacity)

    def figures(self, weight: Floats) -> dict[str, float]:
        """Return the figures of a draw that holds each row `weight` times."""
        churned, total = weight * self.label, weight.sum()
        found, seen = (np.cumsum(each)[self.last_of_tie] for each in (churned, weight))
        if not 0 < found[-1] < total:
            return dict.fromkeys(("auc", "pr_auc", "brier", "ece", "lift_at_capacity"), float("nan"))
        step, stayed = np.diff(found, prepend=0), np.diff(seen - found, prepend=0)
        later = total - found[-1] - (seen - found)
        above = np.interp(self.capacity * total, np.append(0, seen), np.append(0, found))
        return {
            "auc": float(step @ (later + stayed / 2) / (found[-1] * (total - found[-1]))),
            "pr_auc": float(step @ (found / np.maximum(seen, 1)) / found[-1]),
            "brier": float(weight @ (self.probability - self.label) ** 2 / total),
            "ece": self._calibration_error(weight, total),
            "lift_at_capacity": float(above / (self.capacity * total) / (found[-1] / total)),
        }

    def _calibration_error(self, weight: Floats, total: float) -> float:
        gaps = np.bincount(self.bin_of, weights=weight * (self.probability - self.label), minlength=self.bins)
        return float(np.abs(gaps).sum() / total)


def _counts(draw: np.random.Generator, size: int) -> Floats:
    return np.bincount(draw.integers(0, size, size), minlength=size).astype(float)


@dataclass(frozen=True)
class Bin:
    """One point of the reliability curve: what was predicted, what happened, and its 95 % Wilson interval."""

    n: int
    predicted: float
    observed: float
    low: float
    high: float


def reliability(label: Floats, probability: Floats, *, bins: int = 10) -> tuple[Bin, ...]:
    """Return the curve over `bins` groups of equal size, the lowest scores first."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(_bin(label[part], float(probability[part].mean())) for part in parts)


def _bin(label: Floats, predicted: float) -> Bin:
    """Source of the interval: Wilson, "Probable inference", JASA 1927."""
    n, rate, z = len(label), float(label.mean()), WILSON
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return Bin(n, predicted, rate, max(0.0, middle - reach), min(1.0, middle + reach))


@dataclass(frozen=True)
class ProfitTerms:
    """What a contact costs and what it can save, from the policy, in the company's currency.

    `effect` is the share of contacted churners that stay because of the contact: an assumption until the held-out
    group has shown it.
    """

    contact_cost: float
    effect: float


@dataclass(frozen=True)
class Profit:
    """The profit of acting on the score per 1,000 customers, next to acting on all of them; doing nothing is 0.

    `mean_value` is that of the contacted, 0 where nobody is.
    """

    contacted: float
    mean_value: float
    per_thousand: float
    per_thousand_all: float
    expected_per_thousand: float


def profit(label: Floats, probability: Floats, value: Floats, *, terms: ProfitTerms, capacity: float = 1.0) -> Profit:
    """Contact those whose expected saving exceeds the cost, the most profitable first, at most the share `capacity`.

    `value` (n, currency) is what each customer who stays brings from then on; one that is negative or NaN saves
    nothing. `per_thousand` counts the churners that were really among the contacted, `expected_per_thousand` what the
    probabilities promised: far apart, they are not calibrated where the value lies. After Verbraken, Verbeke and
    Baesens, "A novel profit maximizing metric for measuring classification performance of customer churn prediction
    models", IEEE TKDE 2013, and, for each customer's own value, Oskarsdottir, Baesens and Vanthienen, "Profit-based
    model selection for customer retention using individual customer lifetime values", Big Data 2018.
    """
    gain = terms.effect * np.maximum(np.nan_to_num(value), 0)
    expected = probability * gain - terms.contact_cost
    order = np.argsort(-expected, kind="stable")[: max(1, int(capacity * len(label)))]
    chosen = order[expected[order] > 0]
    earned = label * gain - terms.contact_cost
    scale = 1000 / len(label)
    return Profit(
        contacted=len(chosen) / len(label),
        mean_value=float(np.nan_to_num(value)[chosen].mean()) if len(chosen) else 0.0,
        per_thousand=float(scale * earned[chosen].sum()),
        per_thousand_all=float(scale * earned.sum()),
        expected_per_thousand=float(scale * expected[chosen].sum()),
    )
