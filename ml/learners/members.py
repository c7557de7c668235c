"""The learners behind a churn model. Each gives log-odds, and contributions that add up to them."""

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ml.dataset import Floats

TWO_VALUED = 2  # quantiles of a column that needs no bend
CHUNK = 100_000  # rows expanded at once by the linear member
BINS = 128  # values that trees tell apart per column: as accurate as XGBoost's 256 and a third quicker; 64 are not


@dataclass(frozen=True)
class Compute:
    """Where and how wide to compute.

    `workers` settings are tried side by side, each on `threads`. One thread each is right up to some 100,000 rows:
    small trees spend two threads waiting for each other. Results are reproducible for one setting on one machine.
    """

    workers: int = 2
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class Contributions:
    """Parts of the log-odds: `values` (rows x matrix columns) plus `base` is the margin of each row."""

    values: Floats
    base: float


class Member(ABC):
    """A learner on the encoded matrix (float32, missing is NaN). `fit` learns, the rest touches no state."""

    kind: ClassVar[str]

    @abstractmethod
    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn from rows x columns and labels 0/1."""

    @abstractmethod
    def margin(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row."""

    @abstractmethod
    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return the parts of `margin`; they add up in any case, `exact` decides how they are shared out."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was learned, as JSON can hold it."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what `state` gave."""


@dataclass
class Linear(Member):
    """Logistic regression on a piecewise-linear curve per feature.

    A number becomes its rank among 20 quantiles of the training data and is then bent at `bends` inner points, so
    the log-odds are a sum of one curve per feature. Missing is a level of its own.
    """

    kind: ClassVar[str] = "linear"
    strength: float = 0.03  # inverse of the ridge penalty, for columns in [0, 1]
    bends: int = 4
    grid: list[list[float]] = field(default_factory=list)  # per matrix column: quantiles, or [] for a level
    coefficients: list[float] = field(default_factory=list)
    centre: list[float] = field(default_factory=list)  # mean of the expanded columns, where contributions are zero
    intercept: float = 0.0

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn the curves by penalised maximum likelihood."""
        from sklearn.linear_model import LogisticRegression

        del compute
        self.grid = [_quantiles(values) for values in matrix.T]
        expanded, _ = self._expand(matrix)
        model = LogisticRegression(C=self.strength, max_iter=1000, random_state=seed)
        model.fit(expanded, label, sample_weight=weight)
        self.coefficients = model.coef_[0].tolist()
        self.intercept = float(model.intercept_[0])
        self.centre = expanded.mean(axis=0, dtype=float).tolist()
        return self

    def margin(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row."""
        slopes = np.array(self.coefficients)
        parts = [self._expand(part)[0] @ slopes for part in _chunks(matrix)]
        return np.concatenate([*parts, np.empty(0)]) + self.intercept

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return each feature's curve, measured from its mean over the training rows."""
        del exact  # there is but one way
        slopes, centre = np.array(self.coefficients), np.array(self.centre)
        values = np.zeros(matrix.shape)
        for start in range(0, len(matrix), CHUNK):
            expanded, owners = self._expand(matrix[start : start + CHUNK])
            edges = np.flatnonzero(np.diff(owners, prepend=-1))
            parts = np.add.reduceat((expanded - centre) * slopes, edges, axis=1)
            values[start : start + CHUNK, owners[edges]] = parts
        return Contributions(values, self.intercept + float(centre @ slopes))

    def state(self) -> dict[str, Any]:
        """Return the curves."""
        names = ("strength", "bends", "grid", "coefficients", "centre", "intercept")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take the curves back."""
        for name, value in state.items():
            setattr(self, name, value)
        return self

    def _expand(self, matrix: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
        """Return the expanded columns and, for each, the matrix column it came from."""
        blocks = [_curve(values, grid, self.bends) for values, grid in zip(matrix.T, self.grid, strict=True)]
        owners = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
        return np.concatenate(blocks, axis=1), owners


@dataclass
class Growth:
    """An ensemble that is still growing."""

    booster: Any  # XGBoost's own
    data: Any

    def until(self, rounds: int) -> Self:
        """Grow on to `rounds` rounds in all; the result is that of growing them in one go."""
        for number in range(self.booster.num_boosted_rounds(), rounds):
            self.booster.update(self.data, number)
        return self

    def margin(self, matrix: Floats) -> Floats:
        """Return the log-odds that all rounds so far give."""
        found: Floats = self.booster.inplace_predict(matrix, predict_type="margin").astype(float)
        return found


@dataclass
class Trees(Member):
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
    boosters: list[str] = field(default_factory=list)  # base64 of XGBoost's own UBJSON form

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Grow `bags` ensembles from seeds that follow `seed`."""
        data = self._quantised(matrix, label, weight=weight, compute=compute)
        self.boosters = []
        for bag in range(self.bags):
            grown = self._sprout(data, seed=seed + 1000 * bag, compute=compute).until(self.rounds)
            self.boosters.append(base64.b64encode(grown.booster.save_raw("ubj")).decode())
        return self

    def begin(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> "Growth":
        """Return an ensemble without trees, to be grown as far as it helps."""
        return self._sprout(self._quantised(matrix, label, weight=weight, compute=compute), seed=seed, compute=compute)

    def _quantised(self, matrix: Floats, label: Floats, *, weight: Floats | None, compute: Compute) -> Any:  # noqa: ANN401 - XGBoost's own
        import xgboost

        return xgboost.QuantileDMatrix(matrix, label, weight=weight, nthread=compute.threads, max_bin=BINS)

    def _sprout(self, data: Any, *, seed: int, compute: Compute) -> "Growth":  # noqa: ANN401 - XGBoost's own
        import xgboost

        fixed = {
            "objective": "binary:logistic", "tree_method": "hist", "max_bin": BINS, "nthread": compute.threads,
            "device": compute.device, "num_parallel_tree": self.width,
        }  # fmt: skip
        return Growth(xgboost.Booster({**fixed, **self.params, "seed": seed}, [data]), data)

    def margin(self, matrix: Floats) -> Floats:
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

    def state(self) -> dict[str, Any]:
        """Return parameters and trees."""
        return {name: getattr(self, name) for name in ("params", "rounds", "width", "bags", "boosters")}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take parameters and trees back."""
        for name, value in state.items():
            setattr(self, name, value)
        return self

    def _loaded(self) -> list[Any]:
        import xgboost

        return [xgboost.Booster(model_file=bytearray(base64.b64decode(each))) for each in self.boosters]


def _quantiles(values: Floats) -> list[float]:
    """Return the distinct 5 % quantiles of what is known; none for a column that does not vary."""
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    found = np.unique(np.quantile(known.astype(float), np.linspace(0, 1, 21)))
    return found.tolist() if len(found) > 1 else []


def _curve(values: Floats, grid: list[float], bends: int) -> npt.NDArray[np.float32]:
    """Return one column for missing, and the rank in [0, 1] with its bends (a 0/1 column gives just itself)."""
    missing = np.isnan(values)
    if not grid:
        return missing[:, None].astype(np.float32)
    rank = np.interp(values, grid, np.linspace(0, 1, len(grid)))
    rank[missing] = 0.5
    knots = np.linspace(0, 1, bends + 2)[:-1] if len(grid) > TWO_VALUED else np.zeros(1)
    columns = [np.clip(rank - knot, 0, None) / (1 - knot) for knot in knots]
    return np.column_stack([missing, *columns]).astype(np.float32)


def _chunks(matrix: Floats) -> list[Floats]:
    return [matrix[start : start + CHUNK] for start in range(0, len(matrix), CHUNK)]
