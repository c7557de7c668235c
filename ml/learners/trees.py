"""Trees by XGBoost: a random forest and gradient boosting are two settings of one learner."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from ml.dataset import Floats
from ml.learners.base import Algorithm, Candidate, Compute, Contributions, Range, SearchSpace, StagedLearner

BINS = 128  # values that trees distinguish per column: as accurate as XGBoost's 256 and a third quicker; 64 are not
BAGS = 3  # seeds of boosting that the final fit averages
SEARCHED_ROUNDS = (100, 200, 400)


@dataclass
class Boosting:
    """A booster of XGBoost that is still growing."""

    booster: Any  # XGBoost's own
    data: Any

    def until(self, rounds: int) -> Self:
        """Grow on to `rounds` rounds in all; the result is that of growing them in one go."""
        for number in range(self.booster.num_boosted_rounds(), rounds):
            self.booster.update(self.data, number)
        return self

    def log_odds(self, matrix: Floats) -> Floats:
        """Return the log-odds that all rounds so far give."""
        found: Floats = self.booster.inplace_predict(matrix, predict_type="margin").astype(float)
        return found


@dataclass
class Trees(StagedLearner):
    """Trees grown by XGBoost on histograms; `rounds` of one tree each is boosting.

    One round of `width` trees on row and column samples, without shrinkage, is a random forest. Its leaves hold
    mean labels on the scale of one Newton step from the base rate, so a forest, too, adds up in log-odds. Bags
    grown from several seeds are averaged.
    """

    kind: ClassVar[str] = "trees"
    params: dict[str, Any] = field(default_factory=dict)
    rounds: int = 400
    width: int = 1
    bags: int = 1
    boosters_: list[str] = field(init=False, default_factory=list)  # base64 of XGBoost's own UBJSON form

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Grow `bags` ensembles from seeds that follow `seed`."""
        data = self._quantised(matrix, label, weight=weight, compute=compute)
        self.boosters_ = []
        for bag in range(self.bags):
            grown = self._sprout(data, seed=seed + 1000 * bag, compute=compute).until(self.rounds)
            self.boosters_.append(base64.b64encode(grown.booster.save_raw("ubj")).decode())
        return self

    def begin(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> "Boosting":
        """Return an ensemble without trees, to be grown as far as it helps."""
        return self._sprout(self._quantised(matrix, label, weight=weight, compute=compute), seed=seed, compute=compute)

    def _quantised(self, matrix: Floats, label: Floats, *, weight: Floats | None, compute: Compute) -> Any:  # noqa: ANN401 - XGBoost's own
        import xgboost

        return xgboost.QuantileDMatrix(matrix, label, weight=weight, nthread=compute.threads, max_bin=BINS)

    def _sprout(self, data: Any, *, seed: int, compute: Compute) -> "Boosting":  # noqa: ANN401 - XGBoost's own
        import xgboost

        fixed = {
            "objective": "binary:logistic", "tree_method": "hist", "max_bin": BINS, "nthread": compute.threads,
            "device": compute.device, "num_parallel_tree": self.width,
        }  # fmt: skip
        return Boosting(xgboost.Booster({**fixed, **self.params, "seed": seed}, [data]), data)

    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row, averaged over the bags."""
        import xgboost

        data = xgboost.DMatrix(matrix)
        rounds = (0, self.rounds)
        found = [each.predict(data, output_margin=True, iteration_range=rounds) for each in self._loaded()]
        mean: Floats = np.mean(np.asarray(found, dtype=float), axis=0)
        return mean

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return exact Shapley values of the trees (TreeSHAP, path dependent), or the steps along each row's path.

        Shapley values cost leaves times depth squared per tree and row; the path (Saabas, 2014) costs its depth, and
        credits each split with what it changes in the expected log-odds. Both add up.
        """
        import xgboost

        data = xgboost.DMatrix(matrix)
        values, base = np.zeros(matrix.shape), 0.0
        for each in self._loaded():
            parts = each.predict(data, pred_contribs=True, approx_contribs=not exact, iteration_range=(0, self.rounds))
            values += parts[:, :-1] / self.bags
            base += float(parts[0, -1]) / self.bags if len(parts) else 0.0
        return Contributions(values, base)

    def _loaded(self) -> list[Any]:
        import xgboost

        return [xgboost.Booster(model_file=bytearray(base64.b64decode(each))) for each in self.boosters_]


def _propose(drawn: Mapping[str, float]) -> Candidate:
    return Candidate(Trees(params=dict(drawn)), rounds=SEARCHED_ROUNDS, bags=BAGS)


_FOREST = {
    "learning_rate": 1.0,
    "max_depth": 8,
    "min_child_weight": 2.0,
    "subsample": 0.63,
    "colsample_bynode": 0.3,
    "reg_lambda": 0.1,
}
_SHALLOW = {
    "learning_rate": 0.03,
    "max_depth": 3,
    "min_child_weight": 5.0,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "reg_lambda": 10.0,
}
_DEEP = {
    "learning_rate": 0.03,
    "max_depth": 6,
    "min_child_weight": 2.0,
    "subsample": 0.7,
    "colsample_bytree": 0.8,
    "colsample_bynode": 0.6,
    "reg_lambda": 3.0,
}
ALGORITHMS = (
    Algorithm("random_forest", (Candidate(Trees(params=_FOREST, rounds=1, width=100)),)),
    Algorithm(
        "xgboost",
        (
            Candidate(Trees(params=_SHALLOW), rounds=(150, 300, 500), bags=BAGS),
            Candidate(Trees(params=_DEEP), rounds=(80, 160, 320), bags=BAGS),
        ),
        SearchSpace(
            {
                "learning_rate": Range(0.01, 0.1, log=True),
                "max_depth": Range(2, 8, whole=True),
                "min_child_weight": Range(1.0, 50.0, log=True),
                "reg_lambda": Range(0.3, 100.0, log=True),
                "subsample": Range(0.4, 1.0),
                "colsample_bytree": Range(0.2, 1.0),
                "colsample_bynode": Range(0.3, 1.0),
            },
            _propose,
        ),
    ),
)
