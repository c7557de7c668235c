"""A trial of one strategy: monthly looks until there is a verdict, and the day on which there can be one."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import ceil
from typing import TYPE_CHECKING, Self

from retention.measuring.sequential import (
    LEAST_STEP,
    conditional_power,
    find_bounds,
    full_information,
    inflation,
    reach_of_band,
    widen,
)

if TYPE_CHECKING:
    from company.policy.measuring import Outcomes
    from retention.measuring.estimates import Estimate

INSUFFICIENT, WORKS, HARMS, NO_EFFECT, BLOCKED = "insufficient", "works", "harms", "no_effect_found", "blocked"
LOOKS_A_YEAR = 12
MIXING = 2.0  # smallest effects for which the band is narrowest: early on it would else be of no use
_FARTHEST = timedelta(days=20 * 365)  # what lies beyond is no date to wait for


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the looks so far have come to.

    `fractions` are the shares of `full`, the information at which the trial ends, that the looks had; `decided_on` is
    the day of the look that brought the verdict.
    """

    asked: "Outcomes"
    full: float
    fractions: tuple[float, ...] = ()
    verdict: str = INSUFFICIENT
    decided_on: date | None = None

    @classmethod
    def begin(cls, asked: "Outcomes") -> Self:
        """Return a trial without a look, which monthly looks over a year find the smallest effect by."""
        certain = {"confidence": asked.confidence, "power": asked.power}
        return cls(asked=asked, full=full_information(asked.smallest_effect, **certain) * inflate(asked))

    def needed_sample(self, retention: float, *, holdout_share: float) -> tuple[int, int]:
        """Return how many treated and untreated the full information takes, where nothing of them is known yet.

        `retention` is that of the untreated; the effect is looked for on the side where there is room. With no holdout
        no sample is enough: then both numbers are those of equal arms.
        """
        ratio = (1 - holdout_share) / holdout_share if holdout_share else 1.0
        effect = self.asked.smallest_effect
        better = retention + effect if retention + effect <= 1 else retention - effect
        untreated = self.full * (better * (1 - better) / ratio + retention * (1 - retention))
        return ceil(untreated * ratio), ceil(untreated)

    def share_of(self, found: "Estimate | None") -> float:
        """Return the information of an estimate as a share of the full one.

        It is that which arms of these sizes have if the smallest effect is there, at the retention of both together:
        the spread that few untreated happen to show goes with the effect that they show, and would end trials early
        just where it looks small (A. L. Gould & W. J. Shih, Communications in Statistics 21, 1992).
        """
        if not found:
            return 0.0
        treated, untreated = found.sizes
        effect = self.asked.smallest_effect
        worse = min(max(found.mean - effect * treated / (treated + untreated), 0.0), 1 - effect)
        better = worse + effect
        spread = better * (1 - better) / treated + worse * (1 - worse) / untreated
        return 1 / (spread * (1 - found.explained) * found.widening * self.full)

    def is_look(self, found: "Estimate | None") -> bool:
        """Tell whether an estimate says enough more than that of the look before, and there is no verdict yet."""
        before = self.fractions[-1] if self.fractions else 0.0
        return self.decided_on is None and self.share_of(found) - before >= LEAST_STEP

    def look(self, found: "Estimate", day: date) -> Self:
        """Return the trial after one more look, see `find_bounds`; a verdict stands from then on."""
        fractions = (*self.fractions, self.share_of(found))
        after = replace(self, fractions=fractions)
        if abs(found.value) > after.reach_of_look(found) * found.error:
            return replace(after, verdict=WORKS if found.value > 0 else HARMS, decided_on=day)
        return replace(after, verdict=NO_EFFECT, decided_on=day) if after.is_futile(found) else after

    def is_futile(self, found: "Estimate") -> bool:
        """Tell whether nothing, or hardly anything, is left to find the smallest effect by, in either direction."""
        fraction = self.fractions[-1]
        if 1 - fraction < LEAST_STEP:
            return True
        final = find_bounds((*self.fractions, 1.0), confidence=self.asked.confidence)[-1]
        drift = self.asked.smallest_effect * self.full**0.5
        z = abs(found.value) / found.error
        return conditional_power(z, fraction, drift=drift, bound=final) < self.asked.futility_power

    def reach_of_look(self, found: "Estimate") -> float:
        """Return how many standard errors the interval of the last look reaches: to its bound, by Student's t."""
        bound = find_bounds(self.fractions, confidence=self.asked.confidence)[-1]
        return widen(bound, freedom=found.freedom)

    def reach_of_band(self, found: "Estimate") -> float:
        """Return how many standard errors the always-valid band reaches."""
        mixing = MIXING * self.asked.smallest_effect
        return reach_of_band(found.information, confidence=self.asked.confidence, mixing=mixing)


def inflate(asked: "Outcomes") -> float:
    """Return how much more information monthly looks over a year take than one test."""
    return inflation(LOOKS_A_YEAR, confidence=asked.confidence, power=asked.power)


def foretell(
    decided: Sequence[date], needed: int, *, matures_after: timedelta, today: date, until: date | None
) -> date | None:
    """Return the day of the look at which `needed` decisions will have matured, at the rate at which they came so far.

    `decided` are the days of all decisions so far, rising, those that are not mature included; from `until` on none
    counts. None while they are all of one day, which shows no rate, and where the day is not in sight.
    """
    reached = _reach(decided, needed, today)
    if reached is None or (until and reached >= until):
        return None
    return first_of_next(reached + matures_after - timedelta(days=1))


def _reach(decided: Sequence[date], needed: int, today: date) -> date | None:
    """Return the day on which as many are decided; those of the last day so far began an interval of their own."""
    if len(decided) >= needed:
        return decided[needed - 1]
    days = (decided[-1] - decided[0]).days if decided else 0
    if not days:
        return None
    ahead = (needed - len(decided)) * days / bisect_left(decided, decided[-1])
    return max(decided[-1], today) + timedelta(days=ceil(ahead)) if ahead <= _FARTHEST.days else None


def first_of_next(day: date) -> date:
    """Return the first day of the month after that of `day`."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def list_days(first: date, last: date) -> Iterator[date]:
    """Yield the days of looks from `first`, itself the first of a month, before `last`, then `last`."""
    day = first
    while day < last:
        yield day
        day = first_of_next(day)
    yield last
