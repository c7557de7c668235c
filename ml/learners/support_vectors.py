"""A support vector machine with an additive kernel: the widest margin between curves of each feature."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from ml.dataset import Floats
from ml.learners.base import JSON, Algorithm, Candidate, Compute
from ml.learners.linear import Linear, learn_grid

FOLDS = 3  # of the rows, on which distances become log-odds


@dataclass
class SupportVectors(Linear):
    """The curves of `Linear`, weighed by the squared hinge loss instead of the likelihood.

    A sum of kernels, one per feature, so that contributions add up (Maji, Berg and Malik, "Efficient classification for
    additive kernel SVMs", PAMI 2013). Distances from the border become log-odds on rows that a fold did not learn from
    (Platt, "Probabilistic outputs for support vector machines", 1999).
    """

    kind: ClassVar[str] = "support_vectors"
    strength: float = 0.003
    knots: int = field(default=4, metadata={JSON: "bends"})

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn the border, and how distances from it become log-odds."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold

        del compute
        self.grid_ = learn_grid(matrix)
        expanded, _ = self._expand(matrix)
        weights = np.ones(len(label)) if weight is None else weight
        distance = np.zeros(len(label))
        for train, rest in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(expanded, label):
            border = self._find_border(expanded[train], label[train], weights[train], seed=seed)
            distance[rest] = border[0] @ expanded[rest].T + border[1]
        scale = LogisticRegression(C=1e6).fit(distance[:, None], label, sample_weight=weights)
        coefficients, intercept = self._find_border(expanded, label, weights, seed=seed)
        slope = float(scale.coef_[0, 0])
        self.coefficients_ = (slope * coefficients).tolist()
        self.intercept_ = slope * intercept + float(scale.intercept_[0])
        self.centre_ = expanded.mean(axis=0, dtype=float).tolist()
        return self

    def _find_border(self, expanded: Floats, label: Floats, weights: Floats, *, seed: int) -> tuple[Floats, float]:
        from sklearn.svm import LinearSVC

        machine = LinearSVC(C=self.strength, dual=False, max_iter=2000, random_state=seed)
        machine.fit(expanded, label, sample_weight=weights)
        return machine.coef_[0], float(machine.intercept_[0])


ALGORITHMS = (Algorithm("svm", (Candidate(SupportVectors(strength=0.003)), Candidate(SupportVectors(strength=0.03)))),)
