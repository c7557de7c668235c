"""XGBoost and a neural network as one learner: the mean of their log-odds, at a fixed share."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ml.dataset import Floats
from ml.learners.base import Algorithm, Candidate, Compute, Contributions, Learner
from ml.learners.neural import Neural
from ml.learners.trees import Trees

_TREES = {
    "learning_rate": 0.03, "max_depth": 3, "min_child_weight": 5.0, "subsample": 0.7, "colsample_bytree": 0.5,
    "reg_lambda": 10.0,
}  # fmt: skip


@dataclass
class BoostedAndNeural(Learner):
    """`share` of the log-odds from boosted trees, the rest from a network.

    The blend of training weighs whatever candidates there are by what they do on later rows; this is a fixed pair.
    """

    kind: ClassVar[str] = "boosted_and_neural"
    share: float = 0.6
    rounds: int = 300
    bags: int = 1
    trees_: dict[str, Any] = field(init=False, default_factory=dict)
    network_: dict[str, Any] = field(init=False, default_factory=dict)

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn both, each from all rows."""
        trees = Trees(params=_TREES, rounds=self.rounds, bags=self.bags)
        network = Neural(bags=self.bags)
        self.trees_ = trees.fit(matrix, label, weight=weight, seed=seed, compute=compute).state()
        self.network_ = network.fit(matrix, label, weight=weight, seed=seed, compute=compute).state()
        return self

    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row."""
        trees, network = self._restore()
        mixed: Floats = self.share * trees.log_odds(matrix) + (1 - self.share) * network.log_odds(matrix)
        return mixed

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return the parts of both, weighed as they are."""
        trees, network = (each.contributions(matrix, exact=exact) for each in self._restore())
        values = self.share * trees.values + (1 - self.share) * network.values
        return Contributions(values, self.share * trees.base + (1 - self.share) * network.base)

    def _restore(self) -> tuple[Trees, Neural]:
        return Trees.restore(self.trees_), Neural.restore(self.network_)


ALGORITHMS = (Algorithm("xgboost_and_neural_net", (Candidate(BoostedAndNeural(), bags=3),)),)
