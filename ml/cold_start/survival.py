"""The chance that a silence goes on, from nothing but how long silences last."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ml.dataset import Floats


@dataclass(frozen=True)
class Survival:
    """Kaplan and Meier's estimate: `share[i]` of the silences outlast `days[i]`.

    Source: Kaplan and Meier, "Nonparametric estimation from incomplete observations", JASA 1958.
    """

    days: Floats
    share: Floats
    silences: int

    @classmethod
    def learn(cls, days: Floats, ended: Floats) -> Self:
        """Learn from the length of each silence and whether it `ended` (0 = it was still going on when last seen)."""
        length, over = np.asarray(days, dtype=float), np.asarray(ended, dtype=float) > 0
        if not over.any():
            raise ValueError("no silence has ended yet, so nothing is known of how long they last. Wait for orders.")
        times = np.unique(length[over])
        ordered = np.sort(length)
        at_risk = len(length) - np.searchsorted(ordered, times, side="left")
        events = np.array([np.count_nonzero(over & (length == time)) for time in times])
        return cls(times, np.cumprod(1 - events / at_risk), len(length))

    def outlasts(self, days: Floats) -> Floats:
        """Return the share of silences longer than `days`."""
        position = np.searchsorted(self.days, days, side="right")
        found: Floats = np.concatenate([[1.0], self.share])[position]
        return found

    def goes_on(self, silent: Floats, *, horizon: float) -> Floats:
        """Return the chance that a silence of `silent` days lasts `horizon` more; NaN beyond what was ever seen."""
        until_now = self.outlasts(np.asarray(silent, dtype=float))
        later = self.outlasts(np.asarray(silent, dtype=float) + horizon)
        found: Floats = np.divide(later, until_now, out=np.full(len(later), np.nan), where=until_now > 0)
        return found
