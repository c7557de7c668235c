"""An LSTM over the stretches of half a year: what it expects next is read by a logistic regression on curves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from ml.anomaly.recurrent import Array, Recurrent
from ml.dataset import Floats
from ml.learners.base import JSON, Algorithm, Candidate, Compute, Contributions
from ml.learners.linear import Linear

GRID = (180, 90, 60, 30, 7, 0)  # days before the snapshot at which stretches begin and end
FEWEST_WINDOWS = 3
LEARNED_FROM = 20_000  # rows drawn for the network
_SUM = re.compile(r"^((?:count|amount|hours)_(?!(?:.*_)?per_).+)_(\d+)d$")


@dataclass
class Sequences(Linear):
    """The curves of `Linear` on all columns and on what a network expects of each sequence of them.

    Sums over windows that end at the snapshot (count_logins_7d, count_logins_30d, count_logins_90d) are a sequence:
    what was done in each stretch, evenly within it. The network learns, with a Poisson likelihood, to expect each
    stretch as a multiple of the customer's own level (`ml.anomaly.recurrent`), and never sees who left. What it expects
    next is one more column for each sequence, and counts, in contributions, for the columns of that sequence.
    """

    kind: ClassVar[str] = "sequences"
    strength: float = 0.03
    knots: int = field(default=4, metadata={JSON: "bends"})
    windows_: list[dict[str, int]] = field(init=False, default_factory=list)  # per sequence matrix columns by days
    network_: dict[str, list[list[float]]] = field(init=False, default_factory=dict)

    def name_columns(self, names: Sequence[str]) -> Self:
        """Find the sequences."""
        found: dict[str, dict[str, int]] = {}
        for place, name in enumerate(names):
            if parts := _SUM.match(name):
                found.setdefault(parts[1], {})[parts[2]] = place
        self.windows_ = [windows for windows in found.values() if len(windows) >= FEWEST_WINDOWS]
        return self

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn the network, then the curves."""
        if self.windows_:
            drawn = np.random.default_rng(seed).permutation(len(matrix))[:LEARNED_FROM]
            network = Recurrent.learn_counts(*self._arrange(matrix[np.sort(drawn)]), seed=seed)
            self.network_ = {name: each.tolist() for name, each in network.weights.items()}
        return super().fit(self._extend(matrix), label, weight=weight, seed=seed, compute=compute)

    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row."""
        return super().log_odds(self._extend(matrix))

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return each column's curve; what a sequence lets expect is shared out evenly among its columns."""
        parts = super().contributions(self._extend(matrix), exact=exact)
        values = parts.values[:, : matrix.shape[1]]
        for place, windows in enumerate(self.windows_, start=matrix.shape[1]):
            values[:, list(windows.values())] += parts.values[:, [place]] / len(windows)
        return Contributions(values, parts.base)

    def _extend(self, matrix: Floats) -> Floats:
        if not self.windows_:
            return matrix
        network = Recurrent({name: np.array(each) for name, each in self.network_.items()})
        return np.hstack([matrix, network.expect(*self._arrange(matrix)).astype(np.float32)])

    def _arrange(self, matrix: Floats) -> tuple[Array, Array]:
        """Return what was done a week in each stretch (rows x stretches x sequences), and over all of them."""
        sums = np.stack([_spread(matrix, windows) for windows in self.windows_], axis=2)
        lengths = -np.diff(GRID)[:, None]
        weekly = np.maximum(-np.diff(sums, axis=1), 0.0) / lengths * 7
        return weekly, np.maximum(sums[:, 0] / GRID[0] * 7, 1e-3)


def _spread(matrix: Floats, windows: dict[str, int]) -> Array:
    """Return the sum since each day of GRID (rows x days); before its longest window a sequence keeps its pace."""
    known = sorted((int(days), place) for days, place in windows.items())
    days = [0, *(day for day, _ in known)]
    sums = np.column_stack([np.zeros(len(matrix)), np.nan_to_num(matrix[:, [place for _, place in known]])])
    slopes = np.diff(sums, axis=1) / np.diff(days)
    found = np.empty((len(matrix), len(GRID)))
    for place, day in enumerate(GRID):
        before = min(int(np.searchsorted(days, day, side="right")) - 1, len(known) - 1)
        found[:, place] = sums[:, before] + slopes[:, before] * (day - days[before])
    return found


ALGORITHMS = (Algorithm("lstm", (Candidate(Sequences()),)),)
