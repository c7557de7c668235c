"""A small LSTM over weeks that expects each next week as a multiple of the customer's own level.

The loss is the negative log-likelihood of a Poisson count, since a squared error is ruled by those who do most. Source:
Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997, with a forget gate.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.anomaly.profile import WEEK, Profile, learn_profile
from ml.anomaly.series import Series

Array = npt.NDArray[np.float64]
HIDDEN, EPOCHS, STEP, BATCH = 8, 30, 0.02, 200
_MOST = 3.0  # of a logarithm of a multiple, so that one week cannot overflow
_RATES = (0.9, 0.999)  # of Adam


@dataclass(frozen=True)
class Recurrent:
    """The weights by name."""

    weights: dict[str, Array]

    @classmethod
    def begin(cls, width: int, *, seed: int) -> Self:
        """Return a network that expects every customer's own level."""
        rng = np.random.default_rng(seed)
        return cls(
            {
                "input": rng.normal(0, 0.3, (width, 4 * HIDDEN)),
                "state": rng.normal(0, 0.3, (HIDDEN, 4 * HIDDEN)),
                "bias": np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN),
                "output": np.zeros((HIDDEN, width)),
                "level": np.zeros(width),
            }
        )

    @classmethod
    def learn(cls, series: Series, *, seed: int) -> Self:
        """Learn to expect each week of the days of customers from those before it."""
        return cls.learn_counts(*arrange(series, learn_profile(series)), seed=seed)

    @classmethod
    def learn_counts(cls, weekly: Array, level: Array, *, seed: int) -> Self:
        """Learn from counts (customers x steps x indicators, latest last) and own levels (customers x indicators)."""
        network, rng = cls.begin(weekly.shape[2], seed=seed), np.random.default_rng(seed)
        moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in network.weights.items()}
        count = 0
        for _ in range(EPOCHS):
            order = rng.permutation(len(weekly))
            for start in range(0, len(order), BATCH):
                rows, count = order[start : start + BATCH], count + 1
                _, slopes = network.measure_loss(weekly[rows], level[rows])
                network = cls(_adam(network.weights, slopes, moments, count))
        return network

    def score(self, series: Series) -> Array:
        """Return how far below their own level customers are expected to be next week, in standard deviations."""
        weekly, level = arrange(series, learn_profile(series))
        expected = self.expect(weekly, level)
        return np.asarray((-expected * np.sqrt(4 * level)).max(axis=1, initial=0.0))

    def expect(self, weekly: Array, level: Array) -> Array:
        """Return the logarithm of the multiple of their level that the next step is expected to hold."""
        found: Array = self._run(weekly, level)["expected"][-1] if len(weekly) else np.zeros((0, weekly.shape[2]))
        return found

    def measure_loss(self, weekly: Array, level: Array) -> tuple[float, dict[str, Array]]:
        """Return the mean loss of each week but the first, and its slope in every weight."""
        run, weights = self._run(weekly, level), self.weights
        scale = 1.0 / (len(weekly) * (weekly.shape[1] - 1))
        slopes = {name: np.zeros_like(value) for name, value in weights.items()}
        loss, later, later_cell = 0.0, np.zeros((len(weekly), HIDDEN)), np.zeros((len(weekly), HIDDEN))
        for step in range(weekly.shape[1] - 2, -1, -1):
            expected, target = run["expected"][step], weekly[:, step + 1]
            mean = level * np.exp(expected)
            loss += scale * float((mean - target * expected).sum())
            error = scale * (mean - target) * (np.abs(run["raw"][step]) < _MOST)
            slopes["output"] += run["hidden"][step].T @ error
            slopes["level"] += error.sum(axis=0)
            before = run["hidden"][step - 1] if step else np.zeros_like(later)
            cell_before = run["cell"][step - 1] if step else np.zeros_like(later)
            gates, later_cell = _back(run, step, error @ weights["output"].T + later, later_cell, cell_before)
            slopes["input"] += run["inputs"][:, step].T @ gates
            slopes["state"] += before.T @ gates
            slopes["bias"] += gates.sum(axis=0)
            later = gates @ weights["state"].T
        return loss, slopes

    def _run(self, weekly: Array, level: Array) -> dict[str, Any]:
        weights = self.weights
        run: dict[str, Any] = {name: [] for name in ("gates", "cell", "hidden", "raw", "expected")}
        run["inputs"] = np.log1p(weekly / np.maximum(level[:, None, :], 0.1)) - np.log(2)
        hidden, cell = np.zeros((len(weekly), HIDDEN)), np.zeros((len(weekly), HIDDEN))
        for step in range(weekly.shape[1]):
            sums = run["inputs"][:, step] @ weights["input"] + hidden @ weights["state"] + weights["bias"]
            gates = np.concatenate([1 / (1 + np.exp(-sums[:, : 3 * HIDDEN])), np.tanh(sums[:, 3 * HIDDEN :])], axis=1)
            admit, forget, show, fresh = np.split(gates, 4, axis=1)
            cell = forget * cell + admit * fresh
            hidden = show * np.tanh(cell)
            raw = hidden @ weights["output"] + weights["level"]
            for name, value in zip(("gates", "cell", "hidden", "raw", "expected"),
                                   (gates, cell, hidden, raw, np.clip(raw, -_MOST, _MOST)), strict=True):  # fmt: skip
                run[name].append(value)
        return run


def arrange(series: Series, profile: Profile) -> tuple[Array, Array]:
    """Return weekly counts (customers x weeks x indicators, latest last) in units of their spread, and the level."""
    weeks = series.days // WEEK
    blocks = series.counts[:, :, series.days - weeks * WEEK :].reshape(*series.counts.shape[:2], weeks, WEEK)
    spread = np.maximum(profile.spread, 1.0)
    weekly = (blocks.sum(axis=3) / spread[:, :, None]).transpose(0, 2, 1)
    return weekly.astype(np.float64), (WEEK * profile.level / spread).astype(np.float64)


def _back(run: dict[str, Any], step: int, slope: Array, later_cell: Array, cell_before: Array) -> tuple[Array, Array]:
    """Return the slopes of the gates' sums, and of the cell before."""
    admit, forget, show, fresh = np.split(run["gates"][step], 4, axis=1)
    bent = np.tanh(run["cell"][step])
    cell = later_cell + slope * show * (1 - bent**2)
    gates = [
        cell * fresh * admit * (1 - admit), cell * cell_before * forget * (1 - forget),
        slope * bent * show * (1 - show), cell * admit * (1 - fresh**2),
    ]  # fmt: skip
    return np.concatenate(gates, axis=1), cell * forget


def _adam(weights: dict[str, Array], slopes: dict[str, Array], moments: dict[str, Any], count: int) -> dict[str, Array]:
    """Return the weights after one step (Kingma and Ba, ICLR 2015); `moments` move along."""
    stepped = {}
    for name, value in weights.items():
        first, second = moments[name]
        first += (1 - _RATES[0]) * (slopes[name] - first)
        second += (1 - _RATES[1]) * (slopes[name] ** 2 - second)
        mean, size = first / (1 - _RATES[0] ** count), second / (1 - _RATES[1] ** count)
        stepped[name] = value - STEP * mean / (np.sqrt(size) + 1e-8)
    return stepped
