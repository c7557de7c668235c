"""The profile: each customer's recent days against their own level and days of the week, as numbers of deviations.

A fall of a count is the signed root of the deviance of a Poisson count whose variance is the customer's own multiple of
its mean (McCullagh and Nelder, Generalized Linear Models, 1989, ch. 2 and 9), a fall of active days that of a binomial
one. The level is that of the half year before the last eight weeks, times what happened to all customers alike, so that
neither a season nor a holiday is anybody's anomaly.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.anomaly.series import Floats, Series

WEEK = 7
BASELINE = 26 * WEEK
GAP = 8 * WEEK  # days before `as_of` that belong to no baseline: a change must not become the level it is compared with
WINDOWS = (7, 14, 28, 56)
LEAST_KNOWN = GAP + 4 * WEEK  # days a customer must have been known, to have a level of their own
_LEAST_SPREAD = 0.4  # of a regular rhythm, whose weeks vary less than chance
_PRIOR_WEEKS = 6.0  # that a usual spread counts, against the customer's own weeks
_LATELY = 28  # days before the gap in which somebody who is still there did something
_PRIOR_DAYS = 5.0  # active days that the company's week counts, against the customer's own
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """How far customers are from themselves: `values` is customers x statistics, above 0 for a fall, 0 for unknown.

    `names` are pairs of indicator and statistic. `expected` and `seen` (customers x indicators x windows) are what the
    windows of WINDOWS let expect and hold, `usual` (customers x indicators) the usual active days in 28. `is_known`
    (customers x indicators) marks what has a level of its own, `is_watched` those who usually do enough for anything to
    be seen.
    """

    names: tuple[tuple[str, str], ...]
    values: Floats
    expected: Floats
    seen: Floats
    usual: Floats
    is_known: Flags
    is_watched: Flags
    profile: "Profile"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a customer usually does: a level per day, the spread of weeks, the share of active days, the week's shape.

    Arrays of customers x indicators; `shape` (customers x indicators x 7) adds up to 1 and begins with the weekday of
    the day before `as_of`, going back. `length` (customers) is the days it rests on.
    """

    level: Floats
    spread: Floats
    active: Floats
    shape: Floats
    length: Floats


def learn_profile(series: Series) -> Profile:
    """Return the profile of each customer, from the days of the baseline on which they were known."""
    base = series.counts[:, :, max(series.days - GAP - BASELINE, 0) : series.days - GAP]
    length = np.clip(series.known_days - GAP, 0, base.shape[2]).astype(np.float32)
    weeks = base.shape[2] // WEEK
    blocks = base[:, :, base.shape[2] - weeks * WEEK :].reshape(*base.shape[:2], weeks, WEEK)[:, :, :, ::-1]
    total, days = base.sum(axis=2), np.maximum(length, 1)[:, None]
    level = total / days
    acts = (blocks > 0).sum(axis=2).astype(np.float32)
    usual = acts.sum(axis=0) / np.maximum(acts.sum(axis=(0, 2)), 1)[:, None]
    shape = (acts + _PRIOR_DAYS * usual) / (acts.sum(axis=2, keepdims=True) + _PRIOR_DAYS)
    return Profile(
        level=level,
        spread=_measure_spread(blocks.sum(axis=3)[:, :, ::-1], level, length),
        active=(base > 0).sum(axis=2) / days,
        shape=shape / np.maximum(shape.sum(axis=2, keepdims=True), 1e-9),
        length=length,
    )


def _measure_spread(weekly: Floats, level: Floats, length: Floats) -> Floats:
    """Return variance over mean of the weeks, the latest first, drawn to that of the company's typical customer."""
    known = np.arange(weekly.shape[2])[None, None, :] < (length // WEEK)[:, None, None]
    mean = WEEK * level[:, :, None]
    squares = np.where(known, (weekly - mean) ** 2 / np.maximum(mean, 1e-6), 0.0).sum(axis=2)
    count = np.maximum(known.sum(axis=2) - 1, 0)
    own = squares / np.maximum(count, 1)
    usable = (count >= 4) & (WEEK * level >= 0.25)  # noqa: PLR2004 - four weeks, one act in four of them
    usual = np.array([np.median(own[usable[:, each], each]) if usable[:, each].any() else 1.0
                      for each in range(own.shape[1])], np.float32)  # fmt: skip
    drawn = (squares + _PRIOR_WEEKS * usual) / (count + _PRIOR_WEEKS)
    return np.asarray(np.maximum(drawn, _LEAST_SPREAD), dtype=np.float32)


def measure(series: Series, *, least_days: float) -> Deviations:
    """Return the deviations of the days before `series.as_of`.

    Customers are watched who were known for LEAST_KNOWN days, usually do one of the things on `least_days` days in 28,
    and did anything since shortly before the windows began: who left long ago changes no more.
    """
    profile = learn_profile(series)
    recent = series.counts[:, :, series.days - GAP :]
    is_known = (series.known_days >= LEAST_KNOWN)[:, None] & (profile.level > 0)
    names: list[tuple[str, str]] = []
    columns: list[npt.NDArray[np.floating[Any]]] = []
    expected, seen = [], []
    for window in WINDOWS:
        count, acts = recent[:, :, -window:].sum(axis=2), (recent[:, :, -window:] > 0).sum(axis=2)
        season = _follow(count, profile.level * window, is_known)
        mean = profile.level * window * season
        widened = profile.spread * (1 + window / np.maximum(profile.length, 1))[:, None]
        columns += [deviate(count, mean) / np.sqrt(widened), _fewer_days(acts, window, profile, season)]
        names += [(indicator, f"{kind}_{window}") for kind in ("volume", "days") for indicator in series.indicators]
        expected.append(mean)
        seen.append(count)
    columns.append(_other_weekdays(recent[:, :, -28:] > 0, profile))
    names += [(indicator, "weekdays") for indicator in series.indicators]
    values = np.concatenate([np.where(is_known, each, 0.0) for each in columns], axis=1)
    is_there = series.counts[:, :, series.days - GAP - _LATELY :].any(axis=(1, 2))
    usual = np.where(is_known, 28 * profile.active, 0.0)
    return Deviations(
        names=tuple(names),
        values=values.astype(np.float32),
        expected=np.stack(expected, axis=2),
        seen=np.stack(seen, axis=2),
        usual=usual,
        is_known=is_known,
        profile=profile,
        is_watched=(usual.max(axis=1, initial=0.0) >= least_days) & is_there,
    )


def deviate(count: Floats, mean: Floats) -> Floats:
    """Return the signed root of the Poisson deviance, above 0 where the count is below its mean."""
    ratio = np.where(count > 0, count / np.maximum(mean, 1e-9), 1.0)
    deviance = 2 * (count * np.log(ratio) - (count - mean))
    found: Floats = np.sign(mean - count) * np.sqrt(np.maximum(deviance, 0.0))
    return found


def _follow(count: Floats, mean: Floats, is_known: Flags) -> Floats:
    """Return by how much all customers together did more or less than usual, per indicator."""
    together = np.where(is_known, mean, 0.0).sum(axis=0)
    found: Floats = np.where(together > 0, np.where(is_known, count, 0.0).sum(axis=0) / np.maximum(together, 1e-9), 1.0)
    return np.clip(found, 0.05, 20.0)[None, :]


def _fewer_days(acts: npt.NDArray[np.int64], window: int, profile: Profile, season: Floats) -> Floats:
    return deviate_days(acts, window, profile.active * season, profile.length[:, None])


def deviate_days(acts: npt.NDArray[np.int64], window: int, share: Floats, length: Floats) -> Floats:
    """Return the signed root of the binomial deviance of the active days, widened by the baseline's own error."""
    share = np.clip(share, 1e-6, 1 - 1e-3)
    seen = np.clip(acts / window, 1e-9, 1 - 1e-9)
    deviance = 2 * window * (seen * np.log(seen / share) + (1 - seen) * np.log((1 - seen) / (1 - share)))
    widened = 1 + window / np.maximum(length, 1)
    return np.asarray(np.sign(share - seen) * np.sqrt(np.maximum(deviance, 0.0) / widened))


def _other_weekdays(acts: Flags, profile: Profile) -> Floats:
    """Return how much worse than usual the customer's own week fits the active days, in standard deviations."""
    days = acts[:, :, ::-1].reshape(*acts.shape[:2], acts.shape[2] // WEEK, WEEK).sum(axis=2)
    surprise = -np.log(np.maximum(profile.shape, 1e-6))
    mean = (profile.shape * surprise).sum(axis=2)
    variance = (profile.shape * surprise**2).sum(axis=2) - mean**2
    count = days.sum(axis=2)
    found: Floats = ((days * surprise).sum(axis=2) - count * mean) / np.sqrt(np.maximum(count * variance, 0.5))
    return found
