"""A model for each cluster of customers who are alike, where the cluster has enough rows; one for all others."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from ml.dataset import Floats, Rows
from ml.learners.base import Algorithm, Candidate, Compute, Contributions, Learner
from ml.learners.linear import Linear, learn_grid

LEARNED_FROM = 20_000  # rows drawn to find the centres
FEWEST_OUTCOMES = 50  # of either outcome in a cluster


@dataclass
class ByCluster(Learner):
    """The curves of `Linear`, learned anew within each cluster that k-means finds in the ranks of all columns.

    What the cluster itself adds to the log-odds is shared among the columns by how far its centre lies from the middle
    of all customers, so that contributions add up.
    """

    kind: ClassVar[str] = "by_cluster"
    clusters: int = 4
    fewest_rows: int = 500
    strength: float = 0.03
    grid_: list[list[float]] = field(init=False, default_factory=list)
    centres_: list[list[float]] = field(init=False, default_factory=list)
    shared_: dict[str, Any] = field(init=False, default_factory=dict)
    own_: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)  # by the number of the cluster

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Find the clusters, and learn from all rows and from those of each cluster."""
        from sklearn.cluster import KMeans

        def learn(rows: Rows) -> dict[str, Any]:
            mine = None if weight is None else weight[rows]
            linear = Linear(strength=self.strength)
            return linear.fit(matrix[rows], label[rows], weight=mine, seed=seed, compute=compute).state()

        self.grid_ = learn_grid(matrix)
        drawn = np.random.default_rng(seed).permutation(len(matrix))[:LEARNED_FROM]
        found = KMeans(self.clusters, n_init=4, random_state=seed).fit(self._rank(matrix[np.sort(drawn)]))
        self.centres_ = found.cluster_centers_.tolist()
        self.shared_ = learn(np.arange(len(matrix)))
        self.own_ = {str(number): learn(rows) for number, rows in self._part(matrix) if self._suffices(label[rows])}
        return self

    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row, by the model of its cluster."""
        found = np.empty(len(matrix))
        for number, rows in self._part(matrix):
            found[rows] = self._restore(number).log_odds(matrix[rows])
        return found

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return each column's curve in the row's cluster, and its part of what the cluster adds."""
        values, base = np.zeros(matrix.shape), Linear.restore(self.shared_).contributions(matrix[:1], exact=exact).base
        apart = np.abs(np.array(self.centres_) - 0.5) + 1e-9
        for number, rows in self._part(matrix):
            parts = self._restore(number).contributions(matrix[rows], exact=exact)
            values[rows] = parts.values + (parts.base - base) * apart[number] / apart[number].sum()
        return Contributions(values, base)

    def _suffices(self, label: Floats) -> bool:
        lost = float(label.sum())
        return len(label) >= self.fewest_rows and min(lost, len(label) - lost) >= FEWEST_OUTCOMES

    def _restore(self, number: int) -> Linear:
        return Linear.restore(self.own_.get(str(number), self.shared_))

    def _part(self, matrix: Floats) -> Iterator[tuple[int, Rows]]:
        """Yield each cluster's number and rows: the nearest centre is that of the largest 2xc - cc."""
        centres = np.array(self.centres_)
        nearest = (2 * self._rank(matrix) @ centres.T - (centres**2).sum(axis=1)).argmax(axis=1)
        yield from ((number, np.flatnonzero(nearest == number)) for number in np.unique(nearest).tolist())

    def _rank(self, matrix: Floats) -> Floats:
        """Return each value's place among all values of its column, 0 to 1; missing stands in the middle."""
        columns = [
            np.interp(values, grid, np.linspace(0, 1, len(grid))) if grid else np.full(len(values), 0.5)
            for values, grid in zip(matrix.T, self.grid_, strict=True)
        ]
        return np.asarray(np.nan_to_num(np.column_stack(columns), nan=0.5), dtype=np.float64)


ALGORITHMS = (Algorithm("by_cluster", (Candidate(ByCluster()),)),)
