"""When customers are there within a month, and in what mood."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.calendar import DAY_MS, HOUR_MS, Calendar, Month
from simulator.hazard import STAYS, State
from simulator.parameters.schema import CAUSES
from simulator.streams import Flags, Floats, Indices, Integers, pick
from simulator.world import World

Columns = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Presence:
    """Days `start` (inclusive) to `end` (exclusive) of the month for each customer; empty where they are equal.

    `felt` is the log-odds of leaving that each of CAUSES (rows) adds by now. `surprised` customers pay more this month
    than they expected.
    """

    world: World
    calendar: Calendar
    month: Month
    start: Floats
    end: Floats
    felt: Floats
    surprised: Flags

    @cached_property
    def pain(self) -> Floats:
        """What all causes add: it makes everyone do less."""
        return np.asarray(self.felt.sum(axis=0))

    def felt_of(self, cause: str) -> Floats:
        """What one cause adds."""
        return np.asarray(self.felt[CAUSES.index(cause)])

    @property
    def share(self) -> Floats:
        """Part of the month that each customer is there."""
        return np.asarray((self.end - self.start) / self.month.days)

    @property
    def season(self) -> float:
        """The month's factor of demand."""
        return self.world.parameters.season[self.month.season]

    def counts(self, rng: np.random.Generator, rate: Floats) -> Indices:
        """Draw how often something happens to each customer, at `rate` a full month."""
        return np.asarray(rng.poisson(np.maximum(rate, 0) * self.share)).astype(np.int32)

    def moments(self, rng: np.random.Generator, customer: Indices) -> Integers:
        """Draw a local moment within each customer's days, at the hours when people are awake."""
        start, end = self.start[customer], self.end[customer]
        day = np.floor(start + rng.random(len(customer)) * (end - start)).astype(np.int64)
        hour = pick(rng, self.world.parameters.hours, len(customer)).astype(np.int64)
        within = rng.integers(0, HOUR_MS, len(customer))
        return np.asarray(self.first_ms + day * DAY_MS + hour * HOUR_MS + within)

    @property
    def first_ms(self) -> int:
        """The month's first local midnight."""
        return self.calendar.origin_ms + self.month.offset * DAY_MS


def be_present(world: World, state: State, month: Month, *, felt: Floats, surprised: Flags) -> Presence:
    """Return who is there when, given who has left by now."""
    start = np.clip(world.signed_day - month.offset, 0, month.days)
    left = np.where(state.left_day == STAYS, month.offset + month.days, state.left_day)
    end = np.clip(left - month.offset, start, month.days)
    return Presence(
        world=world,
        calendar=world.calendar,
        month=month,
        start=start.astype(np.float32),
        end=end.astype(np.float32),
        felt=felt,
        surprised=surprised,
    )


def repeat(counts: Indices) -> Indices:
    """Return each position as often as its count."""
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def position_within(counts: Indices) -> Indices:
    """Return 0, 1, ... within each group of the sizes `counts`."""
    starts = np.cumsum(counts, dtype=np.int64) - counts
    return (np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(starts, counts)).astype(np.int32)
