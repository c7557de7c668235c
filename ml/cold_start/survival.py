"""The chance that an inactivity goes on, from nothing but how long inactivities last."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ml.dataset import Floats

SCALE = 3.0  # in own intervals; with PRIOR_SHAPE an inactivity lasts one interval on average
PRIOR_SHAPE = 4.0
PRIOR_WEIGHT = 20.0  # ended inactivities that the prior counts for
PRIOR_INTERVALS = 2.0  # intervals of the typical customer that count towards a customer's own


@dataclass(frozen=True)
class Survival:
    """A Pareto tail: the share `(1 + x / SCALE) ** -shape` of the inactivities is longer than `x` own intervals.

    Customers whose rates of purchase are gamma distributed, and some of whom left, have inactivities of this form, and
    the longer one has lasted the longer it will last. Source: Lomax, "Business failures", JASA 1954.
    """

    shape: float
    inactivities: int

    @classmethod
    def learn(cls, lengths: Floats, ended: Floats) -> Self:
        """Learn from the length of each inactivity in own intervals and whether it `ended` (0 = it still goes on).

        The shape is the posterior mean under a gamma prior, to which it is conjugate: without any data it is the prior.
        """
        over = float(np.sum(np.asarray(ended) > 0))
        exposure = float(np.sum(np.log1p(np.asarray(lengths, dtype=float) / SCALE)))
        return cls((PRIOR_WEIGHT + over) / (PRIOR_WEIGHT / PRIOR_SHAPE + exposure), int(over))

    def goes_on(self, lengths: Floats, *, horizon: Floats) -> Floats:
        """Return the chance, above 0 and below 1, that inactivities of `lengths` last `horizon` more, in intervals."""
        found: Floats = ((SCALE + lengths) / (SCALE + lengths + horizon)) ** self.shape
        return found


def estimate_intervals(mean_gaps: Floats, orders: Floats, *, otherwise: float) -> Floats:
    """Return the days that usually lie between two purchases of each customer (n), drawn to the typical customer's.

    `mean_gaps` are the observed means, NaN where there was no second purchase, `orders` the numbers of purchases, and
    `otherwise` stands for the typical customer's interval where nobody has one.
    """
    known = ~np.isnan(mean_gaps)
    typical = float(np.median(mean_gaps[known])) if known.any() else otherwise
    count = np.where(known, np.maximum(np.nan_to_num(orders) - 1, 1), 0.0)
    drawn = PRIOR_INTERVALS * typical + count * np.nan_to_num(mean_gaps)
    found: Floats = np.maximum(drawn / (PRIOR_INTERVALS + count), 1.0)
    return found
