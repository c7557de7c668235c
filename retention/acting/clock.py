"""The clock of alerts and incidents: what is due when, by replaying the log, whenever anybody looks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from retention.acting.calendar import ALWAYS, Calendar, inherit, make_calendar

if TYPE_CHECKING:
    from company.policy import Policy
    from company.policy.people import Rung, Step

RAISED, ACKNOWLEDGED, CLOSED, SUPERSEDED = "raised", "acknowledged", "closed", "superseded"
SNOOZED, HANDED_OVER, PAUSED, RESUMED, STEP_DONE = "snoozed", "handed_over", "paused", "resumed", "step_done"
ANSWERS = (ACKNOWLEDGED, CLOSED, SUPERSEDED)
ENDS = (CLOSED, SUPERSEDED)
ANSWER, RUNG, STEP = "answer", "rung", "step"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something done with an alert: `until` is the end of a snooze, `owner` whose it is then, `step` what was done."""

    event: str
    at: datetime
    owner: str | None = None
    until: datetime | None = None
    step: str | None = None


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """What must happen within so much working time, who is notified otherwise (empty: the owner), and what ends it.

    It begins with the first event of the kind `begins`, of a step's that of the step before it (`after_step`).
    """

    name: str
    kind: str
    span: timedelta
    ends: tuple[str, ...]
    owner: str | None = None
    begins: str = RAISED
    after_step: str | None = None
    step: str | None = None


@dataclass(frozen=True, kw_only=True)
class Due:
    """A deadline by the log: due when (None while its clock stands or has not begun), and ended when."""

    deadline: Deadline
    owner: str
    due_at: datetime | None
    ended_at: datetime | None

    def is_breached(self, at: datetime) -> bool:
        """Return whether it was missed by `at`, whenever anybody looks; what ended late stays missed."""
        return self.due_at is not None and (self.ended_at or at) > self.due_at


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Whose hours count: the calendar of each owner, and the company's for everybody else."""

    usual: Calendar
    owners: Mapping[str, Calendar] = field(default_factory=dict)

    def of(self, owner: str | None) -> Calendar:
        """Return the calendar of an owner."""
        return self.owners.get(owner or "", self.usual)

    def measure(self, log: Sequence[Event], deadline: Deadline) -> Due:
        """Return when a deadline is due and whether it has ended, by the log of one alert.

        The clock runs on the calendar of whoever owns the alert; it stands while the alert is snoozed or paused. Time
        that ran before a hand-over stays used: the customer has waited all the same.
        """
        ordered = sorted(log, key=lambda event: event.at)
        first = next((place for place, event in enumerate(ordered) if _begins(event, deadline)), None)
        if first is None:
            return Due(deadline=deadline, owner=deadline.owner or _owner(ordered), due_at=None, ended_at=None)
        later = range(first + 1, len(ordered))
        last = next((place for place in later if _ends(ordered[place], deadline)), None)
        lived = ordered[:last]  # what comes after the end changes nothing
        due_at = self._due(_runs(lived, since=ordered[first].at), deadline.span)
        ended_at = None if last is None else ordered[last].at
        return Due(deadline=deadline, owner=deadline.owner or _owner(lived), due_at=due_at, ended_at=ended_at)

    def used(self, log: Sequence[Event], *, until: datetime) -> timedelta:
        """Return the working time that ran between the beginning of a log and a moment."""
        ordered = sorted(log, key=lambda event: event.at)
        known = [event for event in ordered if event.at < until]
        runs = _runs(known or ordered[:1], since=ordered[0].at)
        spans = (self.of(run.owner).between(run.begin, min(run.end or until, until)) for run in runs)
        return sum(spans, timedelta(0))

    def _due(self, runs: "Iterator[_Run]", span: timedelta) -> datetime | None:
        left = span
        for run in runs:
            calendar = self.of(run.owner)
            used = left if run.end is None else calendar.between(run.begin, run.end)
            if used >= left:
                return calendar.add(run.begin, left)
            left -= used
        return None


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A time in which the clock ran, on the calendar of one owner; without an end it runs still."""

    begin: datetime
    end: datetime | None
    owner: str


@dataclass(frozen=True, kw_only=True)
class _Standing:
    owner: str
    is_paused: bool = False
    quiet_until: datetime | None = None

    def follow(self, event: Event) -> "_Standing":
        """Return how things stand after an event."""
        match event.event:
            case "paused" | "resumed":
                return replace(self, is_paused=event.event == PAUSED)
            case "snoozed":
                return replace(self, quiet_until=event.until)
            case "handed_over":
                return replace(self, owner=event.owner or self.owner)
        return self

    def runs(self, begin: datetime, end: datetime | None) -> Iterator[_Run]:
        """Yield the part of a time in which the clock runs."""
        first = max(begin, self.quiet_until or begin)
        if not self.is_paused and (end is None or first < end):
            yield _Run(begin=first, end=end, owner=self.owner)


def _runs(ordered: Sequence[Event], *, since: datetime) -> Iterator[_Run]:
    """Yield the times after `since` in which the clock of an alert ran."""
    standing, begin = _Standing(owner=_owner(ordered[:1])), ordered[0].at
    for event in ordered[1:]:
        yield from _clip(standing.runs(begin, event.at), since)
        standing, begin = standing.follow(event), event.at
    yield from _clip(standing.runs(begin, None), since)


def _clip(runs: Iterator[_Run], since: datetime) -> Iterator[_Run]:
    for run in runs:
        if run.end is None or run.end > since:
            yield replace(run, begin=max(run.begin, since))


def _owner(ordered: Sequence[Event]) -> str:
    owners = [event.owner for event in ordered if event.event in {RAISED, HANDED_OVER} and event.owner]
    return owners[-1] if owners else ""


def _begins(event: Event, deadline: Deadline) -> bool:
    return event.event == deadline.begins and (deadline.after_step is None or event.step == deadline.after_step)


def _ends(event: Event, deadline: Deadline) -> bool:
    is_other_step = event.event == STEP_DONE and event.step != deadline.step
    return event.event in deadline.ends and not is_other_step


ROUND_THE_CLOCK = Clock(usual=ALWAYS)


def make_clock(policy: "Policy", *, timezone: str) -> Clock:
    """Return the clock of a company: its own calendar, and those of owners who work at other times."""
    usual = policy.working_time
    own = {
        name: make_calendar(inherit(owner.working_time, usual), timezone=timezone)
        for name, owner in policy.owners.items()
        if owner.working_time.model_fields_set
    }
    return Clock(usual=make_calendar(usual, timezone=timezone), owners=own)


def list_deadlines(rungs: "Sequence[Rung]", steps: "Sequence[Step]" = (), *, answer: timedelta) -> list[Deadline]:
    """Return what is asked for: the answer within a working time, the rungs until then, and the steps after it."""
    ladder = [
        Deadline(
            name=f"rung {number}", kind=RUNG, span=timedelta(hours=rung.after_hours), owner=rung.owner, ends=ANSWERS
        )
        for number, rung in enumerate(rungs, start=1)
    ]
    response: list[Deadline] = []
    for step in steps:
        before = response[-1].step if response else None
        response.append(
            Deadline(
                name=f"step {step.step}", kind=STEP, span=timedelta(hours=step.within_hours), owner=step.owner,
                step=step.step, begins=STEP_DONE if before else ACKNOWLEDGED, after_step=before,
                ends=(STEP_DONE, *ENDS),
            )
        )  # fmt: skip
    return [Deadline(name=ANSWER, kind=ANSWER, span=answer, ends=ANSWERS), *ladder, *response]
