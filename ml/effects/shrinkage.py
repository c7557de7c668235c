"""Many noisy effects and what was believed of them before, joined: normal prior, normal error, normal posterior.

The effect of strategy s in group g is that of the strategy, that of the group, and their own: three normal parts, so
that a strategy never tried in a group is judged by how it does elsewhere and by how the group takes to others. Source:
A. Gelman et al., Bayesian Data Analysis, 3rd edition, chapters 5 and 15; how far groups lie apart is chosen by the
marginal likelihood.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MULTIPLES = (1.0, 2.0, 4.0, 8.0)  # of the least spread between groups, tried for groups and for cells


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Pairs of a strategy and a group with the declared effect of the strategy and the standard deviation around it."""

    strategies: Sequence[str]
    groups: Sequence[str]
    declared: Floats
    spread: Floats

    def covariance(self, *, between_groups: float, own: float) -> Floats:
        """Return the prior covariance of the cells' effects."""
        strategies, groups = np.array(self.strategies, dtype=object), np.array(self.groups, dtype=object)
        same_strategy = strategies[:, None] == strategies[None, :]
        same_group = groups[:, None] == groups[None, :]
        shared = np.outer(self.spread, self.spread) * same_strategy
        return np.asarray(shared + between_groups**2 * same_group + own**2 * (same_strategy & same_group), dtype=float)


def shrink(cells: Cells, measured: Floats, error: Floats, *, least_spread: float) -> tuple[Floats, Floats]:
    """Return the mean of every cell's effect, and the covariance of them all.

    Args:
        cells: all cells, measured or not.
        measured: the estimates, missing where there are none.
        error: their covariance; rows and columns of cells without an estimate are ignored.
        least_spread: standard deviation between groups, and of a cell around strategy and group, at least.
    """
    seen = ~np.isnan(measured)
    if not seen.any():
        return cells.declared.copy(), cells.covariance(between_groups=least_spread, own=least_spread)
    away, noise = (measured - cells.declared)[seen], error[np.ix_(seen, seen)]
    tried = [(group * least_spread, own * least_spread) for group in MULTIPLES for own in MULTIPLES]
    priors = [cells.covariance(between_groups=group, own=own) for group, own in tried]
    prior = max(priors, key=lambda each: _log_likelihood(away, each[np.ix_(seen, seen)] + noise))
    gain = np.linalg.solve(prior[np.ix_(seen, seen)] + noise, prior[seen]).T
    return cells.declared + gain @ away, prior - gain @ prior[seen]


def deviations(covariance: Floats) -> Floats:
    """Return the standard deviations of a covariance, 0 where rounding has left less."""
    return np.sqrt(np.maximum(np.diag(covariance), 0.0))


def pool(cells: Cells, average: Floats, covariance: Floats, *, weight: Floats) -> tuple[Floats, Floats]:
    """Return for every cell mean and standard deviation of its group's effect: its cells' mean by `weight`.

    Whether contact drives a group away is asked of all strategies together: each alone may be too noisy to tell.
    Missing where no cell of the group has a weight.
    """
    groups = np.array(cells.groups, dtype=object)
    weights = (groups[:, None] == groups[None, :]) * weight
    total = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, total, out=np.full_like(weights, np.nan), where=total > 0)
    return shares @ average, deviations(shares @ covariance @ shares.T)


def _log_likelihood(away: Floats, covariance: Floats) -> float:
    _, size = np.linalg.slogdet(covariance)
    return float(-0.5 * (size + away @ np.linalg.solve(covariance, away)))
