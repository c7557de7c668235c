"""Where the lane starts: the night's risk of every customer, as the published snapshot has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from company.policy.units import LEVELS
from retention.deciding.cutoffs import NOBODY
from retention.deciding.feedback import HIGHER_LINE
from retention.deciding.tiers import assign
from serving.access import Question
from serving.lane.risk import to_log_odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from company.policy import Policy
    from company.policy.units import Level
    from serving.access import Grant
    from serving.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One night's customers: `rows` by id, their log-odds and levels (index of `LEVELS`, its length for none).

    `aliases` are other ids of a customer, `cutoffs` the lines that history chose, None while there are none, `weights`
    the learned ones by feature, `points` by how much users' feedback raises fixed lines.
    """

    version: str
    as_of: date
    timezone: str
    rows: Mapping[str, int]
    log_odds: "NDArray[np.float64]"
    levels: "NDArray[np.int64]"
    aliases: Mapping[str, str]
    cutoffs: "dict[Level, float] | None"
    weights: Mapping[str, float]
    points: "Mapping[Level, int]"


def read_baseline(snapshot: "Snapshot", grant: "Grant", policy: "Policy") -> Baseline:
    """Return the newest published night. Raises NothingPublishedError; customers without a score are left out."""
    version = snapshot.version
    about = snapshot.ask(grant, Question(relation="about"))[0]
    columns = snapshot.ask_columns(grant, Question(relation="customers", columns=("customer_id", "probability")))
    probability: NDArray[np.float64] = np.ma.filled(np.ma.asarray(columns["probability"], dtype=float), np.nan)
    is_scored = ~np.isnan(probability)
    scored = probability[is_scored]
    lines = snapshot.ask(grant, Question(relation="cutoff_lines"))
    cutoffs = {line["cutoff_level"]: line["cutoff_score"] for line in lines if line["cutoff_score"] < NOBODY}
    demanded = snapshot.ask(grant, Question(relation="alert_rules", columns=("level", "demand", "points")))
    points = {rule["level"]: rule["points"] for rule in demanded if rule["demand"] == HIGHER_LINE}
    aliases = snapshot.ask(grant, Question(relation="aliases"))
    learned = snapshot.ask(grant, Question(relation="lane_weights"))
    return Baseline(
        version=version,
        as_of=about["as_of"],
        timezone=about["timezone"],
        rows={str(customer): row for row, customer in enumerate(columns["customer_id"][is_scored])},
        log_odds=to_log_odds(scored),
        levels=place(scored, policy, cutoffs if lines else None, points),
        aliases={row["alias_id"]: row["customer_id"] for row in aliases},
        cutoffs=cutoffs if lines else None,
        weights={row["lane_feature"]: row["lane_weight"] for row in learned},
        points=points,
    )


def place(
    probability: "NDArray[np.float64]",
    policy: "Policy",
    cutoffs: "dict[Level, float] | None",
    points: "Mapping[Level, int]",
) -> "NDArray[np.int64]":
    """Return the level on which the policy acts, as an index of `LEVELS`; its length where it does not act."""
    import pandas as pd

    levels = assign(pd.DataFrame({"score": 100 * probability}), policy, cutoffs=cutoffs, points=points)["level"]
    places = {level: number for number, level in enumerate(LEVELS)}
    return np.array([places.get(level, len(LEVELS)) for level in levels], dtype=np.int64)
