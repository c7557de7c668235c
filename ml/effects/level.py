"""How far all declared effects together are off: one factor, from all randomised decisions of all strategies."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.effects.randomised import NOTHING, Floats, Randomised

if TYPE_CHECKING:
    import pandas as pd

LEAST = 1e-3  # of a predicted probability: below it the variance of an outcome is not taken seriously


@dataclass(frozen=True, kw_only=True)
class Level:
    """What strategies keep as a multiple of what was declared, and its standard deviation."""

    value: float
    deviation: float


def find_level(rows: Randomised, declared: "pd.DataFrame", *, spread: float) -> Level:
    """Return the level of all declared effects: 1 before anything is seen, with a standard deviation of `spread`.

    A decision's dose is the effect declared for what it got, as far as it fits, less its mean over all that it could
    have got, times the predicted probability of leaving. The level is the slope of staying on the dose, weighted by one
    over the variance of the outcome, which known probabilities of treatment make unbiased whatever was predicted (P. M.
    Robinson, Econometrica 56, 1988; X. Nie and S. Wager, Biometrika 108, 2021), and then drawn to 1 by how uncertain it
    is. Its error is the larger of that by the predictions and that of the residuals, clustered by customer: the second
    alone is too small while few untreated have left.
    """
    scored = rows.take(~np.isnan(rows.probability))
    effect = dict(zip(declared["strategy_id"], declared["effect"].astype(float), strict=True)) | {NOTHING: 0.0}
    effects = scored.fits * np.array([effect.get(action, 0.0) for action in scored.actions])
    mean = (scored.chances * effects).sum(axis=1)
    dose = (effects[np.arange(len(effects)), scored.given] - mean) * scored.probability
    spread_of_outcome = np.clip(scored.probability, LEAST, 1 - LEAST)
    weight = 1 / (spread_of_outcome * (1 - spread_of_outcome))
    seen = float((weight * dose**2).sum())
    if not seen:
        return Level(value=1.0, deviation=spread)
    surplus = scored.stayed - (1 - scored.probability * (1 - mean))
    slope = float((weight * dose * surplus).sum()) / seen
    variance = max(1 / seen, _cluster(weight * dose * (surplus - slope * dose) / seen, scored))
    trust = spread**2 / (spread**2 + variance)
    return Level(value=1 + trust * (slope - 1), deviation=float(np.sqrt(trust * variance)))


def _cluster(influence: Floats, rows: Randomised) -> float:
    by_customer = np.bincount(rows.customers, weights=influence)
    return float(by_customer @ by_customer)
