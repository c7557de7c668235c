"""What is expected of a snapshot of the feature table. A new rule is one new file in this folder.

Rules with `TABLE = PROFILE` judge the profile of the features, one row per feature; the others judge the snapshot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from expectations.features.profile import FEATURES, WITH_OWN, FeatureRange, profile_query
from expectations.gate import Suite, find_rules

__all__ = ["FEATURES", "WITH_OWN", "FeatureRange", "build", "judge_by_range_alone", "profile_query"]

SEAM = "features"
PROFILE = "profile"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule knows; see `build`."""

    as_of: date
    snapshots: tuple[date, ...]
    explosion_factor: float
    minimum_rows: int


def build(
    features: Sequence[FeatureRange],
    *,
    own: Sequence[FeatureRange] = (),
    as_of: date,
    previous: date | None,
    snapshots: Sequence[date],
    explosion_factor: float,
    minimum_rows: int,
) -> list[Suite]:
    """Return the suites of the snapshot at `as_of`: its grain, and every feature's values.

    `snapshots` are the days that must be present. A feature has exploded when the mean of its magnitude differs from
    the snapshot at `previous` by more than `explosion_factor`, either way, and its mean moved by more than a standard
    deviation of that snapshot. A feature with fewer than `minimum_rows` values, or with
    values for hardly anybody, may be constant and may jump. What was already
    empty or constant in the snapshot before, or all but so, may stay it: that is a feature without data. `own` are the
    company's own columns that never change: every snapshot shows what holds today, so that only their range is judged.
    """
    context = Context(
        as_of=as_of,
        snapshots=tuple(sorted({*snapshots, as_of})),
        explosion_factor=explosion_factor,
        minimum_rows=minimum_rows,
    )
    rules = list(find_rules(__name__, context))
    grain = Suite(
        seam=SEAM,
        table=FEATURES,
        expectations=[rule for table, rule in rules if table != PROFILE],
        where=f"as_of = date '{as_of}'",
    )
    profile = Suite(
        seam=SEAM,
        table=FEATURES,
        expectations=[rule for table, rule in rules if table == PROFILE],
        profile=profile_query(features, as_of=as_of, previous=previous),
    )
    own_profile = Suite(
        seam=SEAM,
        table=WITH_OWN,
        expectations=profile.expectations,
        profile=profile_query(judge_by_range_alone(own), as_of=as_of, previous=None, table=WITH_OWN),
    )
    return [grain, profile, *([own_profile] if own else [])]


def judge_by_range_alone(ranges: Sequence[FeatureRange]) -> list[FeatureRange]:
    """Return ranges of features that may be empty or constant, as in the first snapshot of all, which has no past."""
    return [replace(each, null_share=1.0, may_be_constant=True) for each in ranges]
