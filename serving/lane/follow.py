"""The lane itself: reads the log on, moves the state, and records what follows together with how far it has read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from company.policy.units import LEVELS
from retention.acting.clock import make_clock
from retention.acting.look import look
from retention.store.alerts import record_alerts
from serving.access import Grant
from serving.lane.alarms import Raised, make_alerts
from serving.lane.baseline import Baseline, place, read_baseline
from serving.lane.lessons import Moved, compare_groups, make_lessons
from serving.lane.log import Log, LogReplacedError, Read
from serving.lane.risk import Risk, to_probability
from serving.lane.state import Counts, State, make_state
from serving.lane.surges import Surges

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from company.policy import Policy
    from retention.store.store import Store
    from serving.snapshot import Snapshot

    Integers = NDArray[np.int64]

_EPOCH = date(1970, 1, 1)
_QUARTER = 15 * 60 * 1000  # time zones differ by quarters of an hour
_MOST_DELAYS = 2000
_LOAD_SECONDS = 10


@dataclass(kw_only=True)
class Lane:
    """One lane over a log. `now` gives the moment; `state` and `position` are where a checkpoint left off.

    Where `is_landed`, nights land the log in the warehouse, and nothing leaves it before.
    """

    log: Log
    store: "Store"
    snapshot: "Snapshot"
    grant: Grant
    policy: "Policy"
    now: Callable[[], datetime]
    is_landed: bool = False
    state: State = field(init=False)
    position: int = 0
    alerted: dict[str, int] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the published night."""
        self.state = make_state(self.policy.lane)
        self._codes = Risk(policy=self.policy.lane).codes()
        self._days: dict[int, int] = {}
        self.surges = Surges(policy=self.policy)
        self._load: tuple[dict[str, int], datetime] | None = None
        self._take_up(read_baseline(self.snapshot, self.grant, self.policy))

    def catch_up(self) -> None:
        """Bring the state to where effects reach, without effects. Raises LogReplacedError."""
        reached = self.store.lane.begin(at=self.now())
        if reached > (issued := self.log.issued()):
            raise LogReplacedError(
                f"The log of events ends at {issued}, but events up to {reached} had their effect: it was "
                "replaced or lost. Bring it back from a backup, or delete the row of lane_progress to begin anew."
            )
        while self.position < reached:
            limit = min(self.policy.lane.events_per_step, reached - self.position)
            events = [event for event in self.log.read(after=self.position, limit=limit) if event.position <= reached]
            self._apply(events)
            self.position = events[-1].position if events else reached

    def step(self) -> int:
        """Handle the next events with all that follows from them, in one transaction; return how many there were."""
        events = self.log.read(after=self.position, limit=self.policy.lane.events_per_step)
        if not events:
            return 0
        self._commit(self._apply(events), to=events[-1].position)
        return len(events)

    def beat(self) -> None:
        """Show that the lane is alive."""
        self._commit([], to=self.position)

    def refresh(self) -> bool:
        """Take up a night that was published since; return whether there was one."""
        if self.snapshot.version == self.baseline.version:
            return False
        baseline = read_baseline(self.snapshot, self.grant, self.policy)
        self._compare(baseline)
        self._take_up(baseline)
        return True

    def trim(self) -> int:
        """Remove events from the log that are old and have had every effect; return how many."""
        oldest = self.now() - timedelta(days=self.policy.lane.log_days)
        upto = min(self.position, self.store.lane.read_landed()) if self.is_landed else self.position
        return self.log.trim(before=int(oldest.timestamp() * 1000), upto=upto)

    def watch_rates(self) -> int:
        """Record what rose or fell over all customers as incidents; return how many are new."""
        if self.log.last() - self.position > self.policy.lane.events_per_step:
            return 0  # what it has not read yet is not missing
        at = self.now()
        found = self.surges.find(at=at, customers=len(self.baseline.rows))
        if not found:
            return 0
        day = at.astimezone(self._zone).date()
        new, _ = self.store.incidents.record(found, as_of=day, at=at, policy=self.policy, clock=self._clock)
        return new

    def probabilities(self, customers: Sequence[str]) -> "NDArray[np.float64]":
        """Return the lane's probability of each customer that the night scored and the lane has seen."""
        rows = np.array([self.state.rows[each] for each in customers], dtype=np.int64)
        scored = np.array([self.baseline.rows[each] for each in customers], dtype=np.int64)
        counts = self.state.read(rows, since=self._since, windows=self.risk.windows)
        return to_probability(self.baseline.log_odds[scored] + self.risk.delta(counts))

    @property
    def _since(self) -> int:
        return (self.baseline.as_of - _EPOCH).days

    def _take_up(self, baseline: Baseline) -> None:
        self.baseline, self.alerted = baseline, {}
        self.risk = Risk(policy=self.policy.lane, learned=baseline.weights)
        self._zone, self._days = ZoneInfo(baseline.timezone), {}
        self._clock = make_clock(self.policy, timezone=baseline.timezone)

    def _apply(self, events: Sequence[Read]) -> list[Raised]:
        """Move the state by events in their order; return who rose to a level, each customer's events one by one."""
        known = [(self._resolve(each), code) for each in events if (code := self._codes[each.type, each.page]) >= 0]
        if not known:
            return []
        self.surges.add((event, self.risk.names[code]) for event, code in known)
        rows = np.array([self.state.row_of(event.customer_id) for event, _ in known], dtype=np.int64)
        codes = np.array([code for _, code in known], dtype=np.int64)
        days = np.array([self._day_of(event.occurred_at) for event, _ in known], dtype=np.int64)
        raised: list[Raised] = []
        for places in _rounds(rows):
            self.state.add(rows[places], codes[places], days[places])
            raised += self._find_raised([known[place][0] for place in places], rows[places])
        return raised

    def _resolve(self, event: Read) -> Read:
        """Return the event under the id that the night knows its customer by."""
        canonical = self.baseline.aliases.get(event.customer_id)
        return event if canonical is None else event._replace(customer_id=canonical)

    def _find_raised(self, events: Sequence[Read], rows: "Integers") -> Iterator[Raised]:
        """Yield whom the state puts on a stronger level than the night did, and than an alert has reported already."""
        scored = np.array([self.baseline.rows.get(event.customer_id, -1) for event in events], dtype=np.int64)
        if not (scored >= 0).any():
            return
        is_scored = np.flatnonzero(scored >= 0)
        counts = self.state.read(rows[is_scored], since=self._since, windows=self.risk.windows)
        before, delta, least = scored[is_scored], self.risk.delta(counts), self.risk.least_levels(counts)
        probability = to_probability(self.baseline.log_odds[before] + delta)
        rising = np.flatnonzero((delta > 0) | (least < len(LEVELS)))
        levels = least.copy()
        if len(rising):
            levels[rising] = np.minimum(
                place(probability[rising], self.policy, self.baseline.cutoffs, self.baseline.points), least[rising]
            )
        for number in rising[levels[rising] < self.baseline.levels[before[rising]]]:
            event, level = events[is_scored[number]], int(levels[number])
            if level >= self.alerted.get(event.customer_id, len(LEVELS)):
                continue
            self.alerted[event.customer_id] = level
            seen, since = counts.since_score[number], self.baseline.as_of
            yield Raised(
                customer_id=event.customer_id,
                level=level,
                probability=float(probability[number]),
                main_reason=self.risk.reason(seen),
                why_en=self.risk.explain(seen, since=since, language="en"),
                why_zh=self.risk.explain(seen, since=since, language="zh"),
                received_at=event.received_at,
            )

    def _commit(self, raised: Sequence[Raised], *, to: int) -> None:
        """Record alerts and the position together, then notify the owners."""
        at, about = self.now(), self._describe()  # the log may be away: nobody waits for it within a transaction
        quiet = timedelta(days=self.policy.desk.quiet_days)
        with self.store.database.write() as connection:
            for wave in _waves(raised):
                record_alerts(connection, self._make_alerts(wave, at=at), at=at, quiet=quiet, clock=self._clock)
            self.store.lane.move(connection, since=self.position, to=to, at=at, about=about)
        self.position = to
        moment = self.now().timestamp() * 1000
        self.delays = [*self.delays, *(moment - each.received_at for each in raised)][-_MOST_DELAYS:]

    def _make_alerts(self, raised: Sequence[Raised], *, at: datetime) -> "pd.DataFrame":
        return make_alerts(
            raised, night=self.baseline, policy=self.policy, snapshot=self.snapshot, grant=self.grant,
            load=self._read_load(at),
        )  # fmt: skip

    def notify(self) -> None:
        """Put what owners must know into the outbox, as the sensor of the nights does."""
        look(self.store, self.policy, timezone=self.baseline.timezone, at=self.now())

    def _describe(self) -> dict[str, object]:
        p50, p99 = np.percentile(self.delays, [50, 99]).tolist() if self.delays else (None, None)
        return {
            "log_position": self.log.last(), "as_of": self.baseline.as_of, "alert_p50_ms": p50, "alert_p99_ms": p99,
        }  # fmt: skip

    def _read_load(self, at: datetime) -> dict[str, int]:
        if self._load is None or at - self._load[1] > timedelta(seconds=_LOAD_SECONDS):
            self._load = (self.store.alerts.read_load(), at)
        return self._load[0]

    def _day_of(self, moment: int) -> int:
        """Return the day of the company's calendar on which a moment (ms) lies, in days since 1970."""
        quarter = moment // _QUARTER
        day = self._days.get(quarter)
        if day is None:
            local = datetime.fromtimestamp(quarter * _QUARTER / 1000, tz=UTC).astimezone(self._zone)
            day = self._days[quarter] = (local.date() - _EPOCH).days
        return day

    def _compare(self, night: Baseline) -> None:
        """Record what the lane had made of the risk of those it saw, and what the night after it did."""
        both = [each for each in self.state.rows if each in self.baseline.rows and each in night.rows]
        if not both or night.as_of <= self.baseline.as_of:
            return
        counts = self._count_between(both, self.baseline.as_of, night.as_of)
        moved = Moved(
            delta=self.risk.delta(counts),
            before=self.baseline.log_odds[[self.baseline.rows[each] for each in both]],
            after=night.log_odds[[night.rows[each] for each in both]],
        )
        learning = self.policy.lane.learning
        self.store.lane.record_night(
            night.as_of,
            list(compare_groups(moved)),
            lessons=make_lessons(self.risk, counts, moved, most=learning.customers_per_night),
            forget=night.as_of - timedelta(days=learning.keep_nights),
        )

    def _count_between(self, customers: Sequence[str], since: date, before: date) -> Counts:
        """Return what the next night can know of what was counted since a night: nothing of its own day."""
        rows = np.array([self.state.rows[each] for each in customers], dtype=np.int64)
        counts = self.state.read(rows, since=(since - _EPOCH).days, windows=self.risk.windows)
        later = self.state.read(rows, since=(before - _EPOCH).days, windows=())
        return Counts(since_score=counts.since_score - later.since_score, windows=counts.windows)


def _rounds(rows: "Integers") -> "Iterator[Integers]":
    """Yield places of events in rounds, the first event of every customer first: no customer is twice in a round."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    turn = np.arange(len(rows)) - np.repeat(begins, np.diff(np.r_[begins, len(rows)]))
    by_turn = np.argsort(turn, kind="stable")
    bounds = np.flatnonzero(np.r_[True, np.diff(turn[by_turn]) > 0, True])
    for start, stop in pairwise(bounds.tolist()):
        yield np.sort(order[by_turn[start:stop]])


def _waves(raised: Sequence[Raised]) -> Iterator[list[Raised]]:
    """Yield who rose in waves without a customer twice: whoever rose twice gets an alert and then its successor."""
    left = list(raised)
    while left:
        first = {each.customer_id: each for each in reversed(left)}
        yield (wave := [each for each in left if first[each.customer_id] is each])
        left = [each for each in left if each not in wave]
