"""How likely a silent customer is gone: the best forecast that anyone could make who knew the hidden traits.

Purchases come at every k-th tick of a clock with k times the customer's rate, so that gaps are as regular as a Gamma
distribution of shape k. Between purchases the number of ticks is unseen: `silent[j]` is the weight of "still a
customer, j ticks since the last purchase", `gone` that of "left since then".
"""

from dataclasses import dataclass
from math import factorial

import numpy as np

from simulator.streams import Flags, Floats

_FLOOR = 1e-12


@dataclass(kw_only=True)
class Silence:
    """Weights of what a customer may be doing since the last purchase, updated month by month."""

    silent: Floats
    gone: Floats

    @classmethod
    def fresh(cls, size: int, *, rhythm: int) -> "Silence":
        """Return customers of whom nothing is known but that they are customers."""
        silent = np.full((rhythm, size), 1 / rhythm, dtype=np.float64)
        return cls(silent=silent, gone=np.zeros(size, dtype=np.float64))

    def forecast(self, hazard: Floats, rate: Floats, *, months: float) -> Floats:
        """Return the probability that nothing is bought in the next `months`.

        `hazard` is the monthly hazard of one who has not left, `rate` the purchases a month of the same.
        """
        rhythm = len(self.silent)
        left = 1 - (1 - hazard) ** months
        quiet = np.zeros_like(self.gone)
        for ticks in range(rhythm):
            stays = _fewer(rhythm - ticks, rate * rhythm * months)
            leaves = _fewer(rhythm - ticks, rate * rhythm * months / 2)
            quiet += self.silent[ticks] * ((1 - left) * stays + left * leaves)
        return np.asarray((self.gone + quiet) / np.maximum(self.gone + self.silent.sum(axis=0), _FLOOR))

    def live(self, hazard: Floats, rate: Floats, *, bought: Flags, since: Floats) -> None:
        """Let one month pass; who `bought` did so last at the part `since` of the month before its end."""
        rhythm = len(self.silent)
        self.silent[:, bought] = 0
        self.silent[0, bought] = 1
        self.gone[bought] = 0
        part = np.where(bought, since, 1.0)
        left, ticks_expected = 1 - (1 - hazard) ** part, rate * rhythm * part
        for ticks in range(rhythm):
            self.gone += self.silent[ticks] * left * _fewer(rhythm - ticks, ticks_expected / 2)
        moved = np.zeros_like(self.silent)
        for ticks in range(rhythm):
            for more in range(rhythm - ticks):
                chance = np.exp(-ticks_expected) * ticks_expected**more / factorial(more)
                moved[ticks + more] += self.silent[ticks] * chance * (1 - left)
        whole = np.maximum(moved.sum(axis=0) + self.gone, _FLOOR)
        self.silent, self.gone = moved / whole, self.gone / whole


def _fewer(ticks: int, expected: Floats) -> Floats:
    """Return the probability that a Poisson count with mean `expected` stays below `ticks`."""
    total = sum(expected**count / factorial(count) for count in range(ticks))
    return np.asarray(np.exp(-expected) * total)
