"""What the lane knows of every customer: how often each signal came on each of the last days, by event time.

Counts per day add up in any order, so that late and out-of-order events, and a replay of the log, give the same state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from company.policy.lane import Lane

    Integers = NDArray[np.int64]

NEVER = -(2**30)
_MOST = np.iinfo(np.uint16).max


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of every signal of some customers since a day: `since_score`, and of each window of days by its length."""

    since_score: "NDArray[np.int64]"
    windows: Mapping[int, "NDArray[np.int64]"]


@dataclass(kw_only=True)
class State:
    """Counts by customer, signal and day, a ring of days each; the arrays grow with the customers that are seen.

    Shapes: `counts` (customers, signals, days), `newest` (customers,): days since 1970 in the company's time zone.
    """

    days: int
    signals: tuple[str, ...]
    rows: dict[str, int] = field(default_factory=dict)
    counts: Any = None
    newest: Any = None

    def __post_init__(self) -> None:
        """Begin with nobody."""
        if self.counts is None:
            self.counts = np.zeros((0, len(self.signals), self.days), dtype=np.uint16)
            self.newest = np.zeros(0, dtype=np.int32)

    def row_of(self, customer_id: str) -> int:
        """Return the row of a customer, a new one for whom was never seen."""
        row = self.rows.get(customer_id)
        if row is None:
            row = self.rows[customer_id] = len(self.rows)
            if row >= len(self.newest):
                self._grow()
        return row

    def add(self, rows: "Integers", signals: "Integers", days: "Integers") -> None:
        """Count events; one that is older than the memory of its customer is not counted."""
        seen = np.unique(rows)
        latest = np.full(len(seen), NEVER, dtype=np.int64)
        np.maximum.at(latest, np.searchsorted(seen, rows), days)
        self._advance(seen, latest)
        is_recent = days > self.newest[rows] - self.days
        places = np.ravel_multi_index(
            (rows[is_recent], signals[is_recent], days[is_recent] % self.days), self.counts.shape
        )
        touched, further = np.unique(places, return_counts=True)
        flat = self.counts.reshape(-1)
        flat[touched] = np.minimum(flat[touched].astype(np.int64) + further, _MOST)

    def read(self, rows: "Integers", *, since: int, windows: Sequence[int]) -> Counts:
        """Return counts (customers, signals) since a day, and within windows of days that end with the newest."""
        counts = self.counts[rows].astype(np.int64)
        newest = self.newest[rows].astype(np.int64)[:, None]
        day_of = newest - (newest - np.arange(self.days)) % self.days
        return Counts(
            since_score=_sum(counts, day_of >= since),
            windows={days: _sum(counts, day_of > newest - days) for days in windows},
        )

    def _advance(self, rows: "Integers", latest: "Integers") -> None:
        """Empty the days of the ring that begin anew."""
        before = self.newest[rows].astype(np.int64)
        after = np.maximum(before, latest)
        for back in range(self.days):
            day = after - back
            begins = day > before
            self.counts[rows[begins], :, day[begins] % self.days] = 0
        self.newest[rows] = after

    def _grow(self) -> None:
        size = max(1024, len(self.newest) + len(self.newest) // 2)
        counts = np.zeros((size, *self.counts.shape[1:]), dtype=np.uint16)
        newest = np.full(size, NEVER, dtype=np.int32)
        counts[: len(self.newest)], newest[: len(self.newest)] = self.counts, self.newest
        self.counts, self.newest = counts, newest


def make_state(policy: "Lane") -> State:
    """Return the state of nobody, by the policy's signals and memory."""
    return State(days=policy.memory_days, signals=tuple(policy.signals))


def _sum(counts: "Integers", is_meant: "NDArray[np.bool_]") -> "Integers":
    summed: Integers = (counts * is_meant[:, None, :]).sum(axis=2)
    return summed
