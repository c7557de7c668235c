"""From log-odds to a calibrated probability."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ml.dataset import Floats


@dataclass(frozen=True)
class Calibrator:
    """Beta calibration on the scale of log-odds: logit(q) = a log p - b log(1 - p) + c, with a, b > 0.

    Three parameters, strictly increasing, the identity at (1, 1, 0); Platt's sigmoid is the case a = b.
    Source: Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017.
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    shift: float = 0.0  # taken off the log-odds first: how much higher this model's level is than the calibrated ones'

    @classmethod
    def learn(cls, log_odds: Floats, label: Floats, *, weight: Floats | None = None) -> Self:
        """Fit on log-odds (n) and labels (n) that the model behind them has not seen."""
        from scipy.optimize import minimize

        share = np.full(len(label), 1 / len(label)) if weight is None else weight / weight.sum()
        up, down = _log_sigmoid(log_odds), -_log_sigmoid(-log_odds)

        def loss(point: Floats) -> tuple[float, Floats]:
            logit = point[0] * up + point[1] * down + point[2]
            gap = share * (_sigmoid(logit) - label)
            pull = point[:2] - 1
            value = -np.sum(share * np.where(label > 0, _log_sigmoid(logit), _log_sigmoid(-logit)))
            gradient = np.array([gap @ up, gap @ down, gap.sum()])
            gradient[:2] += 2 * PULL * pull / len(label)
            return float(value + PULL * (pull @ pull) / len(label)), gradient

        found = minimize(
            loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.05, 20), (0.05, 20), (None, None)]
        )
        return cls(*(float(value) for value in found.x))

    def probability(self, log_odds: Floats) -> Floats:
        """Return calibrated probabilities (n) for log-odds (n)."""
        return _sigmoid(self.logit(log_odds))

    def logit(self, log_odds: Floats) -> Floats:
        """Return calibrated log-odds (n) for log-odds (n)."""
        wide = np.asarray(log_odds, dtype=float) - self.shift
        return self.a * _log_sigmoid(wide) - self.b * _log_sigmoid(-wide) + self.c


PULL = 1.0  # weight of one observation: keeps few rows near the identity, and fades as 1/n


def _sigmoid(logit: Floats) -> Floats:
    found: Floats = np.exp(_log_sigmoid(logit))
    return found


def _log_sigmoid(logit: Floats) -> Floats:
    found: Floats = -np.logaddexp(0.0, -np.asarray(logit, dtype=float))
    return found
