"""Risk tiers and alert levels: fixed and moving lines over one score."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from company.policy import Policy
    from company.policy.units import Level

NONE = "none"
HIGHEST = 99.0  # a line above it is reached by nobody, and stays where it is


def assign(
    scores: "pd.DataFrame",
    policy: "Policy",
    *,
    cutoffs: "dict[Level, float] | None" = None,
    points: "Mapping[Level, int] | None" = None,
) -> "pd.DataFrame":
    """Return `scores` with `tier`, `alert_level` and `level` added.

    Args:
        scores: one row per customer with `score` between 0 and 100.
        policy: `tiers` gives tier high, medium or low, `alerts` gives alert_level, which may be none.
        cutoffs: the lines that history chose (`retention.deciding.cutoffs`), None while there are none.
        points: by how much users' feedback raises the line of each level; those of `cutoffs` are raised already.

    `level` is the one of the lines that `tier_policy` chose, and none where that policy does not act; without `cutoffs`
    the tiers stand in for them. Labels stay at the policy's lines, whatever feedback raises. Bounds belong to the level
    above them. Raises ValueError when a score is missing or outside 0 to 100.
    """
    score = scores["score"].to_numpy(dtype=float)
    _require_scores(score)
    tier = _place(score, policy.tiers.lines(), below="low")
    alert_level = _place(score, policy.alerts.lines(), below=NONE)
    if policy.tier_policy == "cutoffs" and cutoffs is not None:
        level = _place(score, cutoffs, below=NONE)
    else:
        fixed = policy.alerts if policy.tier_policy == "alerts" else policy.tiers
        chosen = _place(
            score, raise_lines(fixed.lines(), points or {}), below=NONE if fixed is policy.alerts else "low"
        )
        level = np.where(np.isin(chosen, fixed.act_on), chosen, NONE)
    return scores.assign(tier=tier, alert_level=alert_level, level=level.astype(object))


def raise_lines(lines: "Mapping[Level, float]", points: "Mapping[Level, int]") -> "dict[Level, float]":
    """Return falling lines raised by points, up to `HIGHEST`; a weaker level still never lies above a stronger one."""
    raised, ceiling = {}, np.inf
    for level, line in lines.items():
        ceiling = min(ceiling, min(line + points.get(level, 0), HIGHEST) if line < HIGHEST else line)
        raised[level] = float(ceiling)
    return raised


def _place(score: "NDArray[np.float64]", lines: "dict[Level, float]", *, below: str) -> "NDArray[np.object_]":
    """Return the highest level whose line each score reaches; `lines` fall, and may be none at all."""
    level = np.full(score.size, below, dtype=object)
    for name, line in reversed(lines.items()):
        level[score >= line] = name
    return level


def _require_scores(score: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> None:
    bad = ~((score >= 0) & (score <= 100))  # noqa: PLR2004 - the scale of the score
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of {score.size} scores are missing or outside 0 to 100, the first in row "
            f"{int(bad.argmax())}; a score is 100 times a probability."
        )
