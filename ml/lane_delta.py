"""The event lane's online model: how far what was seen since the score moves its log-odds, learned from past nights.

A logistic regression of the next night's probability on lane features, with the log-odds of the night before as offset
and a normal prior around the declared weights, so that a few nights move them little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from company.policy.lane import Learning

    Numbers = NDArray[np.float64]

LEARNED, TOO_FEW, NO_BETTER = "learned", "declared, too few nights", "declared, as good as learned"
_MOST_STEPS, _STILL = 50, 1e-8
GROUPS = 5


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights by feature and their standard errors, whether they hold from now on, and log losses of the last night."""

    names: tuple[str, ...]
    log_odds: "Numbers"
    errors: "Numbers"
    state: str
    losses: Mapping[str, float]


def learn_weights(lessons: "pd.DataFrame", declared: Mapping[str, float], rules: "Learning") -> Weights:
    """Return the weights for the next night.

    Args:
        lessons: one row per night (`as_of`) and customer: `features` (a mapping of names to numbers), `log_odds_before`
            and `log_odds_night`.
        declared: weights by feature, from which the learned ones start.
        rules: how much there must be, and how strongly the declared weights hold.

    They are learned when there are enough nights and customers, and weights learned without the last night describe
    that night better than the declared ones.
    """
    names = tuple(declared)
    prior = np.array([declared[name] for name in names])
    unknown = Weights(names=names, log_odds=prior, errors=np.full(len(names), np.nan), state=TOO_FEW, losses={})
    if lessons["as_of"].nunique() < rules.nights or len(lessons) < rules.customers:
        return unknown
    features = lay_out(lessons["features"].tolist(), names)
    before, night = (lessons[name].to_numpy(float) for name in ("log_odds_before", "log_odds_night"))
    target = _probability(night)
    strength = rules.prior_customers * _variance(target)
    is_last = (lessons["as_of"] == lessons["as_of"].max()).to_numpy()
    trial, _ = fit(features[~is_last], target[~is_last], offset=before[~is_last], prior=prior, strength=strength)
    compared = {"night_before": np.zeros_like(prior), "declared": prior, "learned": trial}
    losses = {
        name: _log_loss(target[is_last], before[is_last] + features[is_last] @ weights)
        for name, weights in compared.items()
    }
    if losses["learned"] >= losses["declared"]:
        return Weights(names=names, log_odds=prior, errors=unknown.errors, state=NO_BETTER, losses=losses)
    log_odds, errors = fit(features, target, offset=before, prior=prior, strength=strength)
    return Weights(names=names, log_odds=log_odds, errors=errors, state=LEARNED, losses=losses)


def fit(
    features: "Numbers", target: "Numbers", *, offset: "Numbers", prior: "Numbers", strength: float
) -> "tuple[Numbers, Numbers]":
    """Return the weights of greatest posterior density and their standard errors, by Newton's method.

    Args:
        features: (customers, features).
        target: probabilities, or outcomes of 0 and 1.
        offset: log-odds that the weights are added to.
        prior: the means of the normal prior.
        strength: its precision, in units of the information of the data.
    """
    weights = prior.astype(float)
    for _ in range(_MOST_STEPS):
        expected = _probability(offset + features @ weights)
        slope = features.T @ (target - expected) - strength * (weights - prior)
        information = _inform(features, expected, strength)
        step = np.linalg.solve(information, slope)
        weights = weights + step
        if np.abs(step).max() < _STILL:
            break
    information = _inform(features, _probability(offset + features @ weights), strength)
    return weights, np.sqrt(np.diag(np.linalg.inv(information)))


def calibrate(lessons: "pd.DataFrame") -> "pd.DataFrame":
    """Return how far the lane moved customers and how far the night did: one row per night and fifth of the delta.

    Columns: `as_of`, `delta_group` (1 is what the lane lowered most), `count_customers`, `mean_delta` and `mean_change`
    of the log-odds, and `slope`, the change per unit of delta over the whole night, unknown where all were moved alike.
    """
    import pandas as pd

    change = lessons["log_odds_night"] - lessons["log_odds_before"]
    rows = lessons[["as_of", "lane_delta"]].assign(change=change)
    rank = rows.groupby("as_of")["lane_delta"].rank(pct=True)
    rows["delta_group"] = np.ceil(rank * GROUPS).clip(1, GROUPS).astype(int)
    groups = rows.groupby(["as_of", "delta_group"], as_index=False).agg(
        count_customers=("change", "size"), mean_delta=("lane_delta", "mean"), mean_change=("change", "mean")
    )
    slopes = {
        as_of: _slope(night["lane_delta"].to_numpy(), night["change"].to_numpy())
        for as_of, night in rows.groupby("as_of")
    }
    return groups.assign(slope=pd.Series(groups["as_of"].map(slopes), dtype=float))


def lay_out(seen: Sequence[Mapping[str, float]], names: Sequence[str]) -> "Numbers":
    """Return features as an array (customers, features); what a customer's mapping has not is 0."""
    return np.array([[each.get(name, 0.0) for name in names] for each in seen], dtype=float).reshape(-1, len(names))


def _inform(features: "Numbers", expected: "Numbers", strength: float) -> "Numbers":
    weighted: Numbers = (features * (expected * (1 - expected))[:, None]).T @ features
    return weighted + strength * np.eye(features.shape[1])


def _slope(delta: "Numbers", change: "Numbers") -> float:
    centred = delta - delta.mean()
    spread = float(centred @ centred)
    return float(centred @ change) / spread if spread > 0 else float("nan")


def _probability(log_odds: "Numbers") -> "Numbers":
    probability: Numbers = 1 / (1 + np.exp(-log_odds))
    return probability


def _variance(target: "Numbers") -> float:
    """Return the mean variance of outcomes, the information that one usual customer gives."""
    return float((target * (1 - target)).mean())


def _log_loss(target: "Numbers", log_odds: "Numbers") -> float:
    """Return the mean cross-entropy of probabilities."""
    return float((np.logaddexp(0, log_odds) - target * log_odds).mean())
