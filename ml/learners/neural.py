"""A small neural network with contributions that add up exactly."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ml.dataset import Floats
from ml.learners.base import Algorithm, Candidate, Compute, Contributions, Learner

FAR = 5.0  # standard deviations beyond which a number is cut off
CHUNK = 50_000  # rows at once
Layers = list[dict[str, Any]]


@dataclass
class Neural(Learner):
    """Two layers of rectified units on standardised numbers and 0/1 levels, averaged over `bags` seeds.

    Missing is the mean, and a 0/1 column of its own where training had any. Contributions are measured from the mean
    customer by the rescale rule of Shrikumar, Greenside and Kundaje, "Learning important features through propagating
    activation differences", ICML 2017; they sum to the log-odds exactly.
    """

    kind: ClassVar[str] = "neural"
    hidden: tuple[int, ...] = (64, 32)
    decay: float = 1.0
    epochs: int = 40
    bags: int = 1
    mean_: list[float] = field(init=False, default_factory=list)
    scale_: list[float] = field(init=False, default_factory=list)
    gaps_: list[int] = field(init=False, default_factory=list)  # matrix columns with a 0/1 column for missing
    networks_: list[Layers] = field(init=False, default_factory=list)

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn by Adam for a fixed number of epochs; the decay is the ridge penalty of the weights."""
        from sklearn.neural_network import MLPClassifier

        del compute
        self._learn_scale(matrix)
        inputs, self.networks_ = self._inputs(matrix), []
        given = {} if weight is None else {"sample_weight": weight}
        for bag in range(self.bags):
            network = MLPClassifier(
                tuple(self.hidden),
                alpha=self.decay,
                learning_rate_init=0.002,
                batch_size=min(len(label), max(128, len(label) // 100)),
                random_state=np.random.RandomState(seed + 1000 * bag),
            )
            for _ in range(self.epochs):
                network.partial_fit(inputs, label, classes=[0.0, 1.0], **given)
            layers = zip(network.coefs_, network.intercepts_, strict=True)
            self.networks_.append([{"weights": w.tolist(), "bias": b.tolist()} for w, b in layers])
        return self

    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row, averaged over the bags."""
        found = np.zeros(len(matrix))
        for start in range(0, len(matrix), CHUNK):
            inputs = self._inputs(matrix[start : start + CHUNK])
            found[start : start + CHUNK] = np.mean(
                [_forward(inputs, each)[-1][:, 0] for each in self._loaded()], axis=0
            )
        return found

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return the parts of `log_odds`; the base is the log-odds of the mean customer."""
        del exact  # there is but one way
        origin = np.zeros((1, matrix.shape[1] + len(self.gaps_)))
        base = float(np.mean([_forward(origin, each)[-1][0, 0] for each in self._loaded()]))
        values = np.zeros(matrix.shape)
        for start in range(0, len(matrix), CHUNK):
            inputs = self._inputs(matrix[start : start + CHUNK])
            parts = np.mean([inputs * _multipliers(inputs, origin, each) for each in self._loaded()], axis=0)
            values[start : start + CHUNK] = parts[:, : matrix.shape[1]]
            values[start : start + CHUNK, self.gaps_] += parts[:, matrix.shape[1] :]
        return Contributions(values, base)

    def _learn_scale(self, matrix: Floats) -> None:
        missing = np.isnan(matrix)
        known = np.maximum((~missing).sum(axis=0), 1)
        filled = np.where(missing, 0.0, matrix.astype(float))
        mean = filled.sum(axis=0) / known
        spread = np.sqrt((np.where(missing, 0.0, filled - mean) ** 2).sum(axis=0) / known)
        two_valued = (missing | (matrix == 0) | (matrix == 1)).all(axis=0)  # a rare level must not weigh more for it
        self.mean_ = mean.tolist()
        self.scale_ = np.where(two_valued | (spread == 0), 1.0, spread).tolist()
        self.gaps_ = np.flatnonzero(missing.any(axis=0)).tolist()

    def _inputs(self, matrix: Floats) -> Floats:
        missing = np.isnan(matrix)
        scaled = np.clip((matrix - np.array(self.mean_)) / np.array(self.scale_), -FAR, FAR)
        return np.hstack([np.where(missing, 0.0, scaled), missing[:, self.gaps_].astype(float)])

    def _loaded(self) -> list[list[tuple[Floats, Floats]]]:
        return [[(np.array(each["weights"]), np.array(each["bias"])) for each in layers] for layers in self.networks_]


def _forward(inputs: Floats, layers: list[tuple[Floats, Floats]]) -> list[Floats]:
    """Return what goes into the units of each layer; the last is the log-odds."""
    found: list[Floats] = []
    values = inputs
    for weights, bias in layers:
        found.append(values @ weights + bias)
        values = np.maximum(found[-1], 0)
    return found


def _multipliers(inputs: Floats, origin: Floats, layers: list[tuple[Floats, Floats]]) -> npt.NDArray[np.float64]:
    """Return, per row and input, by how much a step away from the origin moves the log-odds."""
    here, there = _forward(inputs, layers), _forward(origin, layers)
    slope = np.ones((len(inputs), 1))
    for (weights, _), up, down in zip(reversed(layers[1:]), reversed(here[:-1]), reversed(there[:-1]), strict=True):
        apart = up - down
        same = np.abs(apart) < 1e-9  # noqa: PLR2004 - no step, so the unit's own slope
        ratio = (np.maximum(up, 0) - np.maximum(down, 0)) / np.where(same, 1.0, apart)
        slope = (slope @ weights.T) * np.where(same, up > 0, ratio)
    return np.asarray(slope @ layers[0][0].T, dtype=float)


ALGORITHMS = (Algorithm("neural_net", (Candidate(Neural(), bags=3),)),)
