"""What raises a customer's risk, feature by feature: the model's contributions, or the rules that show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from company.policy.training import RiskSignal
from ml.cold_start.rules import find_signals
from ml.cold_start.scores import LEAST, MOST
from ml.dataset import Floats, column
from ml.training.pipeline import Model

SILENCE = "recency_days"
EXACT = 20_000  # customers up to whom Shapley values are worked out: minutes, beyond hours


@dataclass(frozen=True)
class Evidence:
    """What raises the risk, in log-odds, of each customer (rows) and feature (columns, named by `features`).

    `contributions` are those to the score; `causes` is what the features of a cause show alone, without the symptoms
    that follow from them (`ml.explaining.causes`).
    """

    features: tuple[str, ...]
    contributions: Floats
    causes: Floats

    def sum_contributions(self, names: frozenset[str]) -> Floats:
        """Return the sum of the contributions of the features among `names` (rows)."""
        return self._sum(self.contributions, names)

    def sum_causes(self, names: frozenset[str]) -> Floats:
        """Return the sum of what the features among `names` show alone (rows)."""
        return self._sum(self.causes, names)

    def _sum(self, values: Floats, names: frozenset[str]) -> Floats:
        places = [place for place, name in enumerate(self.features) if name in names]
        found: Floats = values[:, places].sum(axis=1)
        return found

    def filter(self, rows: npt.NDArray[np.bool_]) -> "Evidence":
        """Return the evidence of some customers."""
        return Evidence(self.features, self.contributions[rows], self.causes[rows])


def weigh_model(model: Model, data: pa.Table, *, exact: bool) -> Evidence:
    """Return the evidence of a model; what is missing supports no reason: nothing on record is not why one leaves."""
    values, _ = model.contributions(data, exact=exact)
    missing = _find_missing(data, model.features)
    causes = model.cause_contributions(data)
    return Evidence(tuple(model.features), np.where(missing, 0.0, values), np.where(missing, 0.0, causes))


def weigh_rules(
    signals: Sequence[RiskSignal], data: pa.Table, silence: Floats, *, log_odds_per_weight: float
) -> Evidence:
    """Return the evidence of written rules: their weight where they show, and how unusual the present silence is.

    `silence` is each customer's chance that the silence goes on, NaN where it is not known. How far its log-odds lie
    above the mean customer's is the evidence of `SILENCE`.
    """
    weights = np.array([signal.weight for signal in signals])
    shown = log_odds_per_weight * np.nan_to_num(find_signals(data, signals)) * weights
    values = np.column_stack([shown, _exceed(silence)])
    return Evidence((*(signal.feature for signal in signals), SILENCE), values, np.zeros_like(values))


def _exceed(chance: Floats) -> Floats:
    """Return how far the log-odds of a chance lie above the mean customer's, 0 where they do not or it is unknown."""
    from scipy.special import logit

    odds = logit(np.clip(chance, LEAST, MOST))
    known = odds[~np.isnan(odds)]
    return np.nan_to_num(odds - known.mean()).clip(min=0) if len(known) else np.zeros(len(odds))


def _find_missing(data: pa.Table, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return for each customer (rows) and feature (columns) whether it is null or not a number."""
    absent = [pc.is_null(column(data, name), nan_is_null=True) for name in names]
    return np.column_stack([each.to_numpy(zero_copy_only=False) for each in absent])
