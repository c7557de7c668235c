"""The difference between two arms with its standard error, with less noise where the time before is known."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from retention.deciding.allocation import Bools, Floats, Ints

_LEAST_PER_ARM = 2  # a variance needs two


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference with its interval; all three are None where nothing can be compared."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A difference of means and its standard error.

    `freedom` are the degrees of freedom of the error, `explained` is the share of the variance that the time before
    explained. What else the error rests on is kept for `Trial`, which plans by it: the `sizes` of the arms, treated
    first, the `mean` of all values, and by how much repeated decisions of one customer widen a variance.
    """

    value: float
    error: float
    freedom: float = inf
    explained: float = 0.0
    sizes: tuple[int, int]
    mean: float
    widening: float = 1.0

    @property
    def information(self) -> float:
        """1 / variance of the difference, as it was seen."""
        return 1 / self.error**2


def compare(values: Floats, is_treated: Bools, customers: Ints, *, before: Floats | None = None) -> Estimate | None:
    """Return the mean of the treated less that of the untreated; None below two rows in an arm or without any spread.

    Args:
        values: one per decision, without gaps.
        is_treated: the arm of each.
        customers: a number for each decision's customer; decisions of one customer are not taken for independent.
        before: something known before each decision; NaN where it is not, which then counts as average. What the arms
            differ in by chance is taken out of the difference by its slope within the arms (CUPED: Deng, Xu, Kohavi &
            Walker, WSDM 2013; for treatment and control of unequal size Lin, Annals of Applied Statistics 7, 2013).

    The standard error is the larger of those with one variance, as if there were no difference, and with one for each
    arm: the first holds where the untreated are so few that all of them stayed. It is widened by what repeated
    decisions of one customer have in common (the sandwich of Liang & Zeger, Biometrika 73, 1986, against the same
    without customers).
    """
    sizes = int(is_treated.sum()), int((~is_treated).sum())
    if min(sizes) < _LEAST_PER_ARM:
        return None
    plain = _within(values, is_treated)
    adjusted = values if before is None else values - _predict(values, is_treated, before)
    rest = _within(adjusted, is_treated)
    variance = _variance(adjusted - adjusted.mean(), rest, is_treated)
    if not variance:
        return None
    widening = _widening(rest, is_treated, customers)
    total = float(plain @ plain)
    return Estimate(
        value=float(adjusted[is_treated].mean() - adjusted[~is_treated].mean()),
        error=sqrt(variance * widening),
        freedom=float(min(np.count_nonzero(np.bincount(customers[arm])) for arm in (is_treated, ~is_treated)) - 1),
        explained=1 - float(rest @ rest) / total if total else 0.0,
        sizes=sizes,
        mean=float(values.mean()),
        widening=widening,
    )


def _within(values: Floats, is_treated: Bools) -> Floats:
    """Return the distance of each value from the mean of its arm."""
    means: Floats = np.where(is_treated, values[is_treated].mean(), values[~is_treated].mean())
    return values - means


def _predict(values: Floats, is_treated: Bools, before: Floats) -> Floats:
    known = np.isfinite(before)
    if not known.any():
        return np.zeros(len(values))
    centred = np.where(known, before - before[known].mean(), 0.0)
    inside = _within(centred, is_treated)
    spread = float(inside @ inside)
    slope = float(inside @ _within(values, is_treated)) / spread if spread else 0.0
    return slope * centred


def _variance(overall: Floats, rest: Floats, is_treated: Bools) -> float:
    """Return the variance of the difference from distances to the mean of everybody (`overall`) and of each arm."""
    treated = int(is_treated.sum())
    untreated = len(rest) - treated
    common = float(overall @ overall) / (treated + untreated - 1) * (1 / treated + 1 / untreated)
    corrected = sum(
        float(rest[arm] @ rest[arm]) / (size * (size - 1))
        for arm, size in ((is_treated, treated), (~is_treated, untreated))
    )
    return max(common, corrected)


def _widening(rest: Floats, is_treated: Bools, customers: Ints) -> float:
    """Return by how much a variance grows because decisions of one customer are alike; never below 1."""
    treated = int(is_treated.sum())
    scores = rest * np.where(is_treated, 1 / treated, 1 / (len(rest) - treated))
    apart = float(scores @ scores)
    by_customer = np.bincount(customers, weights=scores)
    return max(float(by_customer @ by_customer) / apart, 1.0) if apart else 1.0
