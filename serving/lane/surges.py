"""Rates over all customers in a sliding window: complaints, failures and bad opinions that surge, events that cease."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from retention.acting.incidents import COMPLAINTS, FAILURES, INACTIVITY, OPINIONS, Incident, find_incidents, grade

if TYPE_CHECKING:
    from company.policy import Policy
    from serving.lane.log import Read

BUCKET = 10 * 60 * 1000  # milliseconds; a window is some of them
MEASURES: Mapping[str, str] = {
    "complaint": COMPLAINTS,
    "payment_failed": FAILURES,
    "negative_feedback": OPINIONS,
}
EVERYBODY, ALL_EVENTS = "all customers, last hour", "all events, last hour"
_DAY = 24 * 60 * 60 * 1000
_FEWEST_PAST = 4


@dataclass(kw_only=True)
class Surges:
    """Counts by measure and bucket of event time, and who is behind the latest ones; `counts` is what is kept."""

    policy: "Policy"
    counts: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    recent: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, events: "Iterable[tuple[Read, str]]") -> None:
        """Count events with their signals; a customer counts once in a bucket."""
        for event, signal in events:
            bucket = event.occurred_at // BUCKET
            self.counts[INACTIVITY][bucket] += 1
            measure = MEASURES.get(signal)
            if measure is not None and event.customer_id not in self.recent[measure, bucket]:
                self.recent[measure, bucket].add(event.customer_id)
                self.counts[measure][bucket] += 1

    def find(self, *, at: datetime, customers: int) -> list[Incident]:
        """Return what rose or fell in the whole buckets before a moment, against the same clock time of past days.

        `customers` is how many customers there are. Forgets what no window reaches any more.
        """
        last = int(at.timestamp() * 1000) // BUCKET - 1
        self._forget(last)
        return [*self._find_risen(last, customers=customers), *self._find_plunge(last)]

    @property
    def _length(self) -> int:
        return self.policy.lane.surges.window_minutes * 60 * 1000 // BUCKET

    def _window(self, measure: str, last: int) -> int:
        held = self.counts.get(measure, {})
        return sum(held.get(last - back, 0) for back in range(self._length))

    def _past(self, measure: str, last: int) -> list[int]:
        """Return the windows of past days, as far back as the first day on which any event was seen."""
        first = min(self.counts.get(INACTIVITY, {}), default=last)
        ends = [last - day * _DAY // BUCKET for day in range(1, self.policy.lane.surges.past_days + 1)]
        return [self._window(measure, end) for end in ends if end - self._length >= first]

    def _find_risen(self, last: int, *, customers: int) -> list[Incident]:
        import pandas as pd

        today, rules = _day_of(last), self.policy.lane.surges
        windows: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        for measure in MEASURES.values():
            for number, count in enumerate([self._window(measure, last), *self._past(measure, last)]):
                day = today - timedelta(days=number)
                about = {"measure": measure, "group_name": EVERYBODY, "window_number": number}
                windows.append(
                    {**about, "first_date": day, "last_date": day, "count_customers": customers, "count_events": count}
                )
            who = set().union(*(self.recent.get((measure, last - back), set()) for back in range(self._length)))
            events += [
                {
                    "measure": measure,
                    "group_name": EVERYBODY,
                    "customer_id": each,
                    "detail": None,
                    "money_at_risk": None,
                }
                for each in sorted(who)
            ]
        if not events or not customers:
            return []
        strict = self.policy.incidents.model_copy(update={"false_discovery_rate": rules.chance})
        return find_incidents(pd.DataFrame(windows), pd.DataFrame(events).astype({"money_at_risk": float}), strict)

    def _find_plunge(self, last: int) -> Iterator[Incident]:
        """Yield an incident when far fewer events came than the usual; the chance is that of a Poisson count.

        Where past windows vary more than that, counts are divided by their variance over their mean.
        """
        from scipy.special import gammaincc

        rules, latest, past = self.policy.lane.surges, self._window(INACTIVITY, last), self._past(INACTIVITY, last)
        if len(past) < _FEWEST_PAST:
            return
        usual = sum(past) / len(past)
        if usual < rules.fewest_usual or latest > rules.plunge_share * usual:
            return
        variance = sum((each - usual) ** 2 for each in past) / (len(past) - 1)
        spread = max(variance / usual, 1.0)
        chance = float(gammaincc(latest / spread + 1, usual / spread))
        if chance <= rules.chance:
            yield self._make_plunge(_day_of(last), latest=latest, usual=usual, chance=chance)

    def _make_plunge(self, day: date, *, latest: int, usual: float, chance: float) -> Incident:
        return Incident(
            measure=INACTIVITY, group_name=ALL_EVENTS, first_date=day, last_date=day, customers=(),
            count_expected=usual, ratio=latest / usual, p_value=chance, q_value=chance, money_at_risk=None,
            cause_en=f"{ALL_EVENTS}: {latest} came where {usual:.0f} are usual; a shop, app or tracker may be down.",
            cause_zh=f"最近一小时事件: 收到 {latest} 条, 通常为 {usual:.0f} 条; 商店、应用或其采集可能中断。",
            grade=grade(round(usual - latest), 0.0, self.policy.incidents),
        )  # fmt: skip

    def _forget(self, last: int) -> None:
        oldest = last - (self.policy.lane.surges.past_days + 1) * _DAY // BUCKET
        for held in self.counts.values():
            for bucket in [each for each in held if each < oldest]:
                del held[bucket]
        for key in [key for key in self.recent if key[1] < last - 2 * self._length]:
            del self.recent[key]


def as_json(surges: Surges) -> dict[str, Any]:
    """Return what a checkpoint keeps."""
    counts = {
        measure: {str(bucket): count for bucket, count in held.items()} for measure, held in surges.counts.items()
    }
    recent = [[measure, bucket, sorted(who)] for (measure, bucket), who in surges.recent.items()]
    return {"counts": counts, "recent": recent}


def from_json(surges: Surges, kept: Mapping[str, Any]) -> None:
    """Take up what a checkpoint kept."""
    for measure, held in kept["counts"].items():
        surges.counts[measure].update({int(bucket): count for bucket, count in held.items()})
    for measure, bucket, who in kept["recent"]:
        surges.recent[measure, bucket] = set(who)


def _day_of(bucket: int) -> date:
    return datetime.fromtimestamp(bucket * BUCKET / 1000, tz=UTC).date()
