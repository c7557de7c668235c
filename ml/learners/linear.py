"""Logistic regression on curves: what a customer's figures add to the log-odds, one feature at a time."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from ml.dataset import Floats
from ml.learners.base import JSON, Algorithm, Candidate, Compute, Contributions, Learner

TWO_VALUED = 2  # quantiles of a column that needs no knot
CHUNK = 100_000  # rows expanded at once


@dataclass
class Linear(Learner):
    """Logistic regression on a piecewise-linear curve per feature.

    A number becomes its rank among 20 quantiles of the training data, and its slope may change at `knots` inner points:
    the log-odds are a sum of one curve per feature. Missing is a level of its own.
    """

    kind: ClassVar[str] = "linear"
    strength: float = 0.03  # inverse of the ridge penalty, for columns in [0, 1]
    knots: int = field(default=4, metadata={JSON: "bends"})
    grid_: list[list[float]] = field(
        init=False, default_factory=list
    )  # per matrix column its quantiles, [] for a level
    coefficients_: list[float] = field(init=False, default_factory=list)
    centre_: list[float] = field(init=False, default_factory=list)  # mean of the expanded columns: contributions of 0
    intercept_: float = field(init=False, default=0.0)

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn the curves by penalised maximum likelihood."""
        from sklearn.linear_model import LogisticRegression

        del compute
        self.grid_ = learn_grid(matrix)
        expanded, _ = self._expand(matrix)
        model = LogisticRegression(C=self.strength, max_iter=1000, random_state=seed)
        model.fit(expanded, label, sample_weight=weight)
        self.coefficients_ = model.coef_[0].tolist()
        self.intercept_ = float(model.intercept_[0])
        self.centre_ = expanded.mean(axis=0, dtype=float).tolist()
        return self

    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row."""
        slopes = np.array(self.coefficients_)
        parts = [self._expand(part)[0] @ slopes for part in _chunks(matrix)]
        return np.concatenate([*parts, np.empty(0)]) + self.intercept_

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return each feature's curve, measured from its mean over the training rows."""
        del exact  # there is but one way
        slopes, centre = np.array(self.coefficients_), np.array(self.centre_)
        values = np.zeros(matrix.shape)
        for start in range(0, len(matrix), CHUNK):
            expanded, owners = self._expand(matrix[start : start + CHUNK])
            edges = np.flatnonzero(np.diff(owners, prepend=-1))
            parts = np.add.reduceat((expanded - centre) * slopes, edges, axis=1)
            values[start : start + CHUNK, owners[edges]] = parts
        return Contributions(values, self.intercept_ + float(centre @ slopes))

    def _expand(self, matrix: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
        """Return the expanded columns and, for each, the matrix column it came from."""
        blocks = [_curve(values, grid, self.knots) for values, grid in zip(matrix.T, self.grid_, strict=True)]
        owners = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
        return np.concatenate(blocks, axis=1), owners


def learn_grid(matrix: Floats) -> list[list[float]]:
    """Return the distinct 5 % quantiles of each column; none for a column that does not vary."""
    return [_quantiles(values) for values in matrix.T]


def _quantiles(values: Floats) -> list[float]:
    """Return the distinct 5 % quantiles of what is known; none for a column that does not vary."""
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    found = np.unique(np.quantile(known.astype(float), np.linspace(0, 1, 21)))
    return found.tolist() if len(found) > 1 else []


def _curve(values: Floats, grid: list[float], knots: int) -> npt.NDArray[np.float32]:
    """Return one column for missing, and the rank in [0, 1] with its knots (a 0/1 column gives just itself)."""
    missing = np.isnan(values)
    if not grid:
        return missing[:, None].astype(np.float32)
    rank = np.interp(values, grid, np.linspace(0, 1, len(grid)))
    rank[missing] = 0.5
    places = np.linspace(0, 1, knots + 2)[:-1] if len(grid) > TWO_VALUED else np.zeros(1)
    columns = [np.clip(rank - place, 0, None) / (1 - place) for place in places]
    return np.column_stack([missing, *columns]).astype(np.float32)


def _chunks(matrix: Floats) -> list[Floats]:
    return [matrix[start : start + CHUNK] for start in range(0, len(matrix), CHUNK)]


ALGORITHMS = (Algorithm("logistic_regression", (Candidate(Linear(strength=0.03)), Candidate(Linear(strength=0.3)))),)
