"""How often a customer without a contract buys again, and for how much: BG/NBD with Gamma-Gamma.

Sources: Fader, Hardie, Lee, "Counting your customers the easy way", Marketing Science 2005; Fader, Hardie, "The
Gamma-Gamma model of monetary value", 2013. Time is in weeks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.dataset import Floats

MOST_LEARNED = 1_000  # customers: more hardly move four parameters
PULL = 1e-3  # of the logarithm of a parameter towards 0, so that thin data give no infinite one
LARGEST = 7.0  # logarithm of a parameter
FEWEST = 20  # customers who bought again; below, nobody's rhythm is learned


@dataclass(frozen=True)
class BuyAgain:
    """Parameters of the BG/NBD: purchases at a Gamma(r, alpha) rate, an end after each at a Beta(a, b) chance."""

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, repeats: Floats, last: Floats, age: Floats) -> "BuyAgain | None":
        """Learn from each customer's purchases after the first, when the last was, and since when they are known.

        All from the first purchase on. None where too few bought again.
        """
        if np.count_nonzero(repeats > 0) < FEWEST:
            return None
        step = -(-len(repeats) // MOST_LEARNED)
        found = _minimise(_bg_nbd_loss, repeats[::step], last[::step], age[::step], count=4)
        return cls(*(float(each) for each in np.exp(found)))

    def expect(self, repeats: Floats, last: Floats, age: Floats, *, weeks: float) -> Floats:
        """Return the purchases to expect within `weeks`."""
        from scipy.special import hyp2f1

        ends = self.a + self.b + repeats - 1
        power = self.r + repeats
        later = self.alpha + age + weeks
        series = hyp2f1(power, self.b + repeats, ends, weeks / later)
        gone = np.where(
            repeats > 0,
            self.a / (self.b + np.maximum(repeats, 1) - 1) * ((self.alpha + age) / (self.alpha + last)) ** power,
            0.0,
        )
        reach = self.a - 1 if abs(self.a - 1) > PULL else PULL
        found: Floats = ends / reach * (1 - ((self.alpha + age) / later) ** power * series) / (1 + gone)
        return np.maximum(found, 0.0)


@dataclass(frozen=True)
class Spend:
    """Parameters of the Gamma-Gamma: what a purchase brings, each customer's mean drawn to that of all."""

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, purchases: Floats, mean: Floats) -> "Spend | None":
        """Learn from how many purchases have been seen of each customer and what one brought in the mean."""
        bought = (purchases > 0) & (mean > 0)
        if np.count_nonzero(bought) < FEWEST:
            return None
        scale = float(mean[bought].mean())
        step = -(-np.count_nonzero(bought) // MOST_LEARNED)
        found = np.exp(_minimise(_spend_loss, purchases[bought][::step], mean[bought][::step] / scale, count=3))
        return cls(float(found[0]), float(found[1]), float(found[2]) * scale)

    def expect(self, purchases: Floats, mean: Floats) -> Floats:
        """Return what one more purchase brings."""
        found: Floats = self.p * (self.v + purchases * mean) / np.maximum(self.p * purchases + self.q - 1, PULL)
        return found


def _minimise(loss: Callable[..., float], *data: Floats, count: int) -> Floats:
    from scipy.optimize import minimize

    bounds = [(-LARGEST, LARGEST)] * count
    found: Floats = minimize(loss, np.zeros(count), args=data, method="Nelder-Mead", bounds=bounds).x
    return found


def _bg_nbd_loss(logs: Floats, repeats: Floats, last: Floats, age: Floats) -> float:
    from scipy.special import betaln, gammaln

    r, alpha, a, b = np.exp(logs)
    rate = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + repeats) - betaln(a, b) - (r + repeats) * np.log(alpha + age)
    # of who never bought again, nobody can have ended
    ended = betaln(a + 1, b + np.maximum(repeats, 1) - 1) - betaln(a, b) - (r + repeats) * np.log(alpha + last)
    both = np.where(repeats > 0, np.logaddexp(alive, ended), alive)
    return float(-np.mean(rate + both) + PULL * np.sum(logs**2))


def _spend_loss(logs: Floats, purchases: Floats, mean: Floats) -> float:
    from scipy.special import gammaln

    p, q, v = np.exp(logs)
    shape = p * purchases
    found = (
        gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(v)
        + (shape - 1) * np.log(mean) + shape * np.log(purchases) - (shape + q) * np.log(purchases * mean + v)
    )  # fmt: skip
    return float(-np.mean(found) + PULL * np.sum(logs**2))
