"""Looking more than once: bounds for monthly looks that spend the false alarms allowed, and a band for every day."""

from collections.abc import Sequence
from functools import lru_cache
from math import inf, log, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_STEP = 1e-3  # of the full information: what brings less is no look of its own
_NODES = 128
_FAR = 8.0  # standard deviations beyond which nothing is integrated
_LEAST_SPENT = 1e-12  # below it a bound lies beyond every value that could be seen


def spend(fraction: float, *, alpha: float) -> float:
    """Return how much of `alpha`, the false alarms allowed on one side, is spent at a share of the information.

    The spending function of O'Brien-Fleming type (Lan & DeMets, Biometrika 70, 1983): 2 - 2 Phi(z / sqrt(fraction))
    with z the (1 - alpha / 2) quantile. It spends next to nothing early, and all of `alpha` from a fraction of 1 on.
    """
    from scipy.special import ndtr, ndtri

    if fraction <= 0:
        return 0.0
    return float(2 * ndtr(ndtri(alpha / 2) / sqrt(min(fraction, 1.0))))


def find_bounds(fractions: Sequence[float], *, confidence: float) -> tuple[float, ...]:
    """Return how far from 0 the standardised effect must lie at each look for a claim in either direction.

    Args:
        fractions: the information of every look so far as shares of the full one, rising by `LEAST_STEP` at least.
        confidence: 1 less the chance of any claim, over all looks, where there is no effect.

    By recursive numerical integration (Armitage, McPherson & Rowe, JRSS A 132, 1969; Jennison & Turnbull, Group
    Sequential Methods, 2000, ch. 19): the sums of scores have independent normal increments, and their density within
    the bounds is carried from look to look. Where a look comes after the full information, nothing is left to spend.
    """
    if any(after - before < LEAST_STEP for before, after in zip((0.0, *fractions), fractions, strict=False)):
        raise ValueError(
            f"The shares of information must rise by {LEAST_STEP} from look to look; they are {fractions}."
        )
    return _find_bounds(tuple(fractions), (1 - confidence) / 2)


@lru_cache(maxsize=4096)
def _find_bounds(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    return _walk(fractions, alpha)[0]


@lru_cache(maxsize=4096)
def _walk(fractions: tuple[float, ...], alpha: float) -> "tuple[tuple[float, ...], Floats, Floats]":
    """Return the bounds of all looks, and points and weighted density of the score at the last one."""
    if not fractions:
        return (), np.zeros(1), np.ones(1)
    before = fractions[:-1]
    bounds, points, mass = _walk(before, alpha)
    used = spend(before[-1], alpha=alpha) if before else 0.0
    step = sqrt(fractions[-1] - (before[-1] if before else 0.0))
    limit = _solve(points, mass, step, spend(fractions[-1], alpha=alpha) - used, most=_FAR * sqrt(fractions[-1]))
    reach = min(limit, _FAR * sqrt(fractions[-1]))
    nodes, weights = _legendre()
    after = nodes * reach
    density = _normal((after[:, None] - points[None, :]) / step) @ mass / step
    return (*bounds, limit / sqrt(fractions[-1])), after, weights * reach * density


def _solve(points: "Floats", mass: "Floats", step: float, chance: float, *, most: float) -> float:
    """Return the score that is exceeded with `chance` by one more step from a score spread as `mass` over `points`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if chance < _LEAST_SPENT:
        return inf

    def excess(limit: float) -> float:
        return float(mass @ ndtr((points - limit) / step)) - chance

    return float(brentq(excess, 0.0, most, xtol=1e-10))


def _normal(z: "Floats") -> "Floats":
    density: Floats = np.exp(-0.5 * z * z) / sqrt(2 * np.pi)
    return density


@lru_cache(maxsize=1)
def _legendre() -> "tuple[Floats, Floats]":
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def widen(bound: float, *, freedom: float) -> float:
    """Return the bound that Student's t of so many degrees of freedom exceeds as rarely as the normal exceeds `bound`.

    Source: C. Jennison & B. W. Turnbull, Group Sequential Methods, 2000, ch. 3 (significance levels for t-tests).
    """
    from scipy.special import ndtr, stdtrit

    return bound if bound > _FAR or freedom == inf else float(-stdtrit(freedom, ndtr(-bound)))


def full_information(effect: float, *, confidence: float, power: float) -> float:
    """Return the information, 1 / variance of the estimate, at which `effect` is found with `power` by one test."""
    from scipy.special import ndtri

    return float(((ndtri((1 + confidence) / 2) + ndtri(power)) / effect) ** 2)


@lru_cache(maxsize=64)
def inflation(looks: int, *, confidence: float, power: float) -> float:
    """Return how much more information as many evenly spaced looks ask for than one test of the same power."""
    from scipy.optimize import brentq

    fractions = tuple((look + 1) / looks for look in range(looks))
    bounds = find_bounds(fractions, confidence=confidence)
    single = sqrt(full_information(1.0, confidence=confidence, power=power))
    factor = brentq(lambda each: _power(fractions, bounds, single * sqrt(each)) - power, 1.0, 1.5, xtol=1e-5)
    return float(factor)


def _power(fractions: Sequence[float], bounds: Sequence[float], drift: float) -> float:
    """Return the chance of crossing the upper bound at any look where the last standardised effect is `drift`."""
    from scipy.special import ndtr

    points, mass, before, crossed = np.zeros(1), np.ones(1), 0.0, 0.0
    nodes, weights = _legendre()
    for fraction, bound in zip(fractions, bounds, strict=True):
        step, move = sqrt(fraction - before), drift * (fraction - before)
        limit = min(bound, _FAR) * sqrt(fraction)
        crossed += float(mass @ ndtr((points + move - limit) / step))
        after = nodes * limit
        density = _normal((after[:, None] - points[None, :] - move) / step) @ mass / step
        points, mass, before = after, weights * limit * density, fraction
    return crossed


def conditional_power(z: float, fraction: float, *, drift: float, bound: float) -> float:
    """Return the chance that a look at the full information claims an effect in the direction of `z`.

    `z` is the standardised effect now, at a `fraction` of the full information; `drift` what it would be on average at
    the full one if the effect is as assumed, and `bound` what it then has to exceed (Lan, Simon & Halperin, Sequential
    Analysis 1, 1982).
    """
    from scipy.special import ndtr

    left = 1 - fraction
    return float(ndtr((z * sqrt(fraction) + drift * left - bound) / sqrt(left)))


def reach_of_band(information: float, *, confidence: float, mixing: float) -> float:
    """Return how many standard errors a band reaches to each side so that it holds on all days at once.

    The asymptotic confidence sequence of a normal mixture (Robbins, Annals of Mathematical Statistics 41, 1970;
    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52, 2024), which is the mixture sequential
    probability ratio test turned round (Johari, Koomen, Pekelis & Walsh, Operations Research 70, 2022).

    Args:
        information: 1 / variance of the estimate now.
        confidence: the chance that the band holds the truth on every day.
        mixing: the size of the effects for which the band is narrowest.
    """
    ratio = information * mixing**2
    return sqrt((1 + 1 / ratio) * (log(1 + ratio) - 2 * log(1 - confidence)))
