"""The blend: a weighted mean of several candidates' log-odds, with weights learned on out-of-fold predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml.dataset import Floats, Rows
from ml.evaluate import base_rate_log_loss
from ml.training.calibrate import Calibrator
from ml.training.study import Study, Trial

BLEND = "blend"


@dataclass(frozen=True)
class Blend:
    """Shares of algorithms in the mean of log-odds; they sum to 1. One algorithm alone has the share 1."""

    shares: Mapping[str, float]

    def log_odds(self, trials: Mapping[str, Trial]) -> Floats:
        """Return the weighted mean of the trials' log-odds."""
        mean: Floats = np.sum([share * trials[name].log_odds for name, share in self.shares.items()], axis=0)
        return mean


def list_blends(study: Study, trials: Mapping[str, Trial]) -> dict[str, Blend]:
    """Return each algorithm alone and, where there are several, their blend."""
    alone = {name: Blend({name: 1.0}) for name in trials}
    if len(trials) == 1:
        return alone
    log_odds = {name: trial.log_odds for name, trial in trials.items()}
    weight = study.weigh(study.validated)
    shares = learn_shares(log_odds, study.label, l2=study.config.blend_l2, weight=weight)
    return {**alone, BLEND: Blend(_drop_small(shares, study.config.min_blend_share))}


def predict_out_of_fold(study: Study, blend: Blend, trials: Mapping[str, Trial]) -> Floats:
    """Return probabilities for the validated rows, each fold blended and calibrated by the other folds."""
    label, fold_of = study.label, study.fold_of
    probability = np.empty(len(label))
    for fold in range(len(study.folds)):
        mine = fold_of == fold
        rest = np.flatnonzero(~mine if len(study.folds) > 1 else mine)
        log_odds = _learn_again(study, blend, trials, rest).log_odds(trials)
        calibrator = Calibrator.learn(log_odds[rest], label[rest], weight=study.weigh(study.validated[rest]))
        probability[mine] = calibrator.probability(log_odds[mine])
    return probability


def _learn_again(study: Study, blend: Blend, trials: Mapping[str, Trial], rows: Rows) -> Blend:
    """Return the blend with shares learned from the validated `rows` alone."""
    if len(blend.shares) == 1:
        return blend
    log_odds = {name: trials[name].log_odds[rows] for name in blend.shares}
    weight = study.weigh(study.validated[rows])
    return Blend(learn_shares(log_odds, study.label[rows], l2=study.config.blend_l2, weight=weight))


def learn_shares(
    log_odds: Mapping[str, Floats], label: Floats, *, l2: float, weight: Floats | None = None
) -> dict[str, float]:
    """Return shares >= 0 that sum to 1 and minimise the log loss of the mean log-odds, pulled towards equality.

    The scale of the mean is free, since calibration follows; `l2` is in units of the base rate's log loss. Stacking as
    in Breiman, "Stacked regressions", 1996.
    """
    from scipy.optimize import minimize

    names = sorted(log_odds)
    stacked = np.column_stack([log_odds[name] for name in names])
    sign = np.where(label > 0, -1.0, 1.0)
    even = 1 / len(names)
    share = np.full(len(label), 1 / len(label)) if weight is None else weight / weight.sum()
    strength = l2 * base_rate_log_loss(float(share @ label))

    def loss(point: Floats) -> tuple[float, Floats]:
        logit = stacked @ point[:-1] + point[-1]
        slope = share * sign / (1 + np.exp(-sign * logit))
        pull = point[:-1] - even
        gradient = np.append(slope @ stacked + 2 * strength * pull, slope.sum())
        return float(share @ np.logaddexp(0, sign * logit) + strength * pull @ pull), gradient

    start = np.append(np.full(len(names), even), 0.0)
    bounds = [*((0.0, None) for _ in names), (None, None)]
    weights = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    total = weights.sum()
    shares = weights / total if total > 0 else np.full(len(names), even)
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


def _drop_small(shares: Mapping[str, float], minimum: float) -> dict[str, float]:
    large = {name: share for name, share in shares.items() if share >= minimum}
    return {name: share / sum(large.values()) for name, share in large.items()}
