"""Risk tiers and alert levels: two policies over one score."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

NONE = "none"


def assign(scores: "pd.DataFrame", policy: "Policy") -> "pd.DataFrame":
    """Return `scores` with `tier`, `alert_level` and `level` added.

    Args:
        scores: one row per customer with `score` between 0 and 100.
        policy: `tiers` gives tier high, medium or low, `alerts` gives alert_level, which may be none.

    `level` is the one that `tier_policy` chose, and none where that policy does not act. Bounds belong to the level
    above them. Raises ValueError when a score is missing or outside 0 to 100.
    """
    score = scores["score"].to_numpy(dtype=float)
    _require_scores(score)
    tiers, alerts = policy.tiers, policy.alerts
    tier = np.select([score >= tiers.high, score >= tiers.medium], ["high", "medium"], "low")
    bounds = [score >= alerts.high, score >= alerts.medium, score >= alerts.low]
    alert_level = np.select(bounds, ["high", "medium", "low"], NONE)
    chosen, act_on = (tier, tiers.act_on) if policy.tier_policy == "tiers" else (alert_level, alerts.act_on)
    level = np.where(np.isin(chosen, act_on), chosen, NONE)
    return scores.assign(tier=tier.astype(object), alert_level=alert_level.astype(object), level=level.astype(object))


def _require_scores(score: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> None:
    bad = ~((score >= 0) & (score <= 100))  # noqa: PLR2004 - the scale of the score
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of {score.size} scores are missing or outside 0 to 100, the first in row "
            f"{int(bad.argmax())}; a score is 100 times a probability."
        )
