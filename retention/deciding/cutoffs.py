"""Cut-offs that move: from which score an alert of each level pays, by what came of earlier scores."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from company.policy.units import LEVELS
from retention.deciding.tiers import raise_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from company.policy import Policy
    from company.policy.units import Level

LINES = np.arange(1.0, 100.0)  # whole scores: a finer line would claim more than the history shows
NOBODY = 100.0  # the line of a level whose alerts would not pay anywhere
COLUMNS = (
    "policy", "level", "line", "customers", "leavers", "share_of_leavers", "false_alarms", "cost", "saved", "net",
    "limited_by", "points",
)  # fmt: skip


@dataclass(frozen=True)
class History:
    """What came of earlier scores: one element per scored customer and day.

    `score` is 0 to 100 and falls, `churned` whether the customer left, `value` what keeping the customer would have
    saved, in currency; `days` is the number of scored days, over which the counts are averaged.
    """

    score: "NDArray[np.float64]"
    churned: "NDArray[np.bool_]"
    value: "NDArray[np.float64]"
    days: int

    @classmethod
    def from_rows(cls, rows: "pd.DataFrame", *, kept_share: float = 1.0) -> "History":
        """Read the columns as_of, probability, churned and value_from_now; an unknown value counts as nothing.

        Keeping a customer saves `kept_share` of the value, as plans count it.
        """
        ordered = rows.sort_values("probability", ascending=False)
        return cls(
            score=100 * ordered["probability"].to_numpy(dtype=float),
            churned=ordered["churned"].to_numpy(dtype=bool),
            value=kept_share * np.maximum(ordered["value_from_now"].fillna(0.0).to_numpy(dtype=float), 0.0),
            days=int(ordered["as_of"].nunique()),
        )


def choose_cutoffs(
    history: History, policy: "Policy", *, points: "Mapping[Level, int] | None" = None
) -> "pd.DataFrame":
    """Choose the line of each level from history, capacity and money, and set the fixed lines next to it.

    A line's net is effect x value of the leavers on or above it - cost of a contact x customers on or above it. Each
    level takes the line of the highest net among those on or above which no more customers lie than the level's
    capacity; a level that pays nowhere takes `NOBODY`. Effect, costs and capacities are the policy's. `points` are by
    how much users' feedback raises each line (`retention.deciding.feedback`).

    Returns:
        `COLUMNS`, one row per policy (`cutoffs`, `tiers`, `alerts`) and level. Counts and money are a scored day's,
        of everybody on or above the line. limited_by is `capacity`, `money` or `never_pays`, `feedback` where that
        raised the line by `points`, and `policy` where the line is fixed.
    """
    import pandas as pd

    chosen = [_choose(history, level, policy) for level in LEVELS]
    lines = np.minimum.accumulate([line for line, _ in chosen])  # a weaker level never lies above a stronger one
    moved = raise_lines(dict(zip(LEVELS, lines.tolist(), strict=True)), points or {}).values()
    rows = [
        _describe("cutoffs", level, line, history, policy, limited_by=limit if line == former else "feedback")
        | {"points": int(line - former)}
        for level, line, former, (_, limit) in zip(LEVELS, moved, lines, chosen, strict=True)
    ]
    for name, fixed in (("tiers", policy.tiers), ("alerts", policy.alerts)):
        rows += [
            _describe(name, level, line, history, policy, limited_by="policy") for level, line in fixed.lines().items()
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_lines(cutoffs: "pd.DataFrame") -> "dict[Level, float]":
    """Return the lines chosen, by level, the highest first, from the table of `choose_cutoffs`; some may have none."""
    chosen = cutoffs.loc[(cutoffs["policy"] == "cutoffs") & (cutoffs["line"] < NOBODY)]
    return dict(zip(chosen["level"], chosen["line"].astype(float), strict=True))


def _choose(
    history: History, level: "Level", policy: "Policy"
) -> tuple[float, Literal["capacity", "money", "never_pays"]]:
    customers, net = _measure(history, LINES, level, policy)
    fits = customers <= policy.cutoffs.capacity[level] * history.score.size
    best = _best(net, np.ones(LINES.size, dtype=bool))
    if net[best] <= 0:
        return NOBODY, "never_pays"
    if fits[best]:
        return float(LINES[best]), "money"
    if not fits.any() or net[_best(net, fits)] <= 0:
        return NOBODY, "capacity"
    return float(LINES[_best(net, fits)]), "capacity"


def _best(net: "NDArray[np.float64]", among: "NDArray[np.bool_]") -> int:
    """Return the place of the highest net, of equals the highest line."""
    return int(net.size - 1 - np.argmax(np.where(among, net, -np.inf)[::-1]))


def _measure(
    history: History, lines: "NDArray[np.float64]", level: "Level", policy: "Policy"
) -> tuple["NDArray[np.int64]", "NDArray[np.float64]"]:
    """Return customers on or above each line, and the net of contacting them, over the whole history."""
    customers = np.searchsorted(-history.score, -lines, side="right")
    at_stake = np.concatenate([[0.0], np.cumsum(history.value * history.churned)])
    cost = policy.contact_costs[policy.cutoffs.channels[level]]
    return customers, policy.expected_profit.effect * at_stake[customers] - cost * customers


def _describe(
    name: str, level: "Level", line: float, history: History, policy: "Policy", *, limited_by: str
) -> dict[str, object]:
    (customers,), (net,) = _measure(history, np.array([line]), level, policy)
    left = int(history.churned[:customers].sum())
    cost = policy.contact_costs[policy.cutoffs.channels[level]] * customers
    return {
        "policy": name,
        "level": level,
        "line": float(line),
        "customers": customers / history.days,
        "leavers": left / history.days,
        "share_of_leavers": left / max(int(history.churned.sum()), 1),
        "false_alarms": (customers - left) / history.days,
        "cost": cost / history.days,
        "saved": (net + cost) / history.days,
        "net": net / history.days,
        "limited_by": limited_by,
        "points": 0,
    }
