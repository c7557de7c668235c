"""What a night says of the lane: how far it had moved customers, and where the night found them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serving.lane.risk import to_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serving.lane.risk import Risk
    from serving.lane.state import Counts


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Of each customer the log-odds of one night, how far the lane moved them, and those of the next night."""

    before: "NDArray[np.float64]"
    delta: "NDArray[np.float64]"
    after: "NDArray[np.float64]"


def compare_groups(moved: Moved) -> Iterator[dict[str, object]]:
    """Yield mean probabilities of those whom the lane raised, lowered or left, as it had it and as the night has it."""
    lane = moved.before + moved.delta
    direction = np.sign(np.round(moved.delta, 6))
    for name, sign in (("raised", 1), ("lowered", -1), ("unmoved", 0)):
        theirs = direction == sign
        if theirs.any():
            yield {
                "group_name": name, "count_customers": int(theirs.sum()),
                "probability_before": float(to_probability(moved.before[theirs]).mean()),
                "probability_lane": float(to_probability(lane[theirs]).mean()),
                "probability_night": float(to_probability(moved.after[theirs]).mean()),
                "log_odds_gap": float((lane - moved.after)[theirs].mean()),
            }  # fmt: skip


def make_lessons(risk: "Risk", counts: "Counts", moved: Moved, *, most: int) -> list[dict[str, object]]:
    """Return what the lane saw of customers, and what the night made of it; of more than `most` an even pick.

    Whoever had no event that the night could know of teaches nothing.
    """
    seen = np.flatnonzero(counts.since_score.any(axis=1))
    picked = seen[:: max(1, -(-len(seen) // most))]
    features = risk.measure(counts)[picked]
    return [
        {
            "lane_features": json.dumps({risk.features[place]: row[place] for place in np.flatnonzero(row).tolist()}),
            "lane_delta": float(moved.delta[number]), "log_odds_before": float(moved.before[number]),
            "log_odds_night": float(moved.after[number]),
        }
        for number, row in zip(picked.tolist(), features, strict=True)
    ]  # fmt: skip
