"""Whether alerts are due when they should be: `python -m bench.clock`; figures in bench/results/clock.json.

Sixty due moments worked out by hand (bench/due_moments.yaml), and logs drawn at random whose due moments are compared
with a brute count of every single minute on the wall.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from bench.figures import Figure, at_least, at_most, record
from company.policy import load_policy
from company.policy.people import WorkingTime
from retention.acting.calendar import Calendar, UnknownYearError, inherit, make_calendar
from retention.acting.clock import ACKNOWLEDGED, ANSWERS, RAISED, Clock, Deadline, Event

TABLE = Path(__file__).with_name("due_moments.yaml")
MINUTE = timedelta(minutes=1)
TAKEN_UP = 0.3  # share of logs that end with a clock that runs again
STANDS, UNKNOWN = "stands", "unknown"


@dataclass(frozen=True)
class Row:
    """One row of the table: a log, its deadline, and when it is due by hand."""

    what: str
    zone: ZoneInfo
    log: tuple[Event, ...]
    deadline: Deadline
    due: datetime | str
    is_late: bool | None


def read_rows() -> tuple[Clock, list[Row]]:
    """Return the clock with a calendar per owner, and the rows of the table."""
    content = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    usual = load_policy().working_time
    calendars = {
        name: make_calendar(inherit(WorkingTime.model_validate(fields), usual), timezone="UTC")
        for name, fields in content["calendars"].items()
    }
    clock = Clock(usual=calendars["office"], owners=calendars)
    return clock, [_read_row(row, calendars[row["calendar"]]) for row in content["moments"]]


def _read_row(row: Mapping[str, Any], calendar: Calendar) -> Row:
    zone = ZoneInfo(calendar.timezone)
    raised = Event(event=RAISED, at=_read_moment(row["raised"], zone), owner=row["calendar"])
    done = [
        Event(
            event=each["event"],
            at=_read_moment(each["at"], zone),
            until=_read_moment(each["until"], zone) if "until" in each else None,
            owner=each.get("owner"),
        )
        for each in row.get("log", ())
    ]
    due = row["due"] if row["due"] in {STANDS, UNKNOWN} else _read_moment(row["due"], zone)
    return Row(row["what"], zone, (raised, *done), _answer_within(timedelta(hours=row["hours"])), due, row.get("late"))


def _read_moment(value: object, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _answer_within(span: timedelta) -> Deadline:
    return Deadline(name="answer", kind="answer", span=span, ends=ANSWERS)


def holds(clock: Clock, row: Row) -> bool:
    """Return whether the clock gives what was worked out by hand."""
    try:
        found = clock.measure(row.log, row.deadline)
    except UnknownYearError:
        return row.due == UNKNOWN
    if row.due == STANDS:
        return found.due_at is None
    if row.due == UNKNOWN or found.due_at is None:
        return False
    is_late = found.is_breached(found.ended_at) if found.ended_at else None
    return found.due_at == row.due.astimezone(UTC) and (row.is_late is None or row.is_late == is_late)


def draw_log(chance: random.Random, owners: Sequence[str]) -> tuple[tuple[Event, ...], timedelta]:
    """Draw an alert, what is done with it, and the time within which an answer is due."""
    at = datetime(2026, 1, 15, tzinfo=UTC) + chance.randrange(300 * 24 * 60) * MINUTE
    log = [Event(event=RAISED, at=at, owner=chance.choice(owners))]
    for _ in range(chance.randrange(5)):
        at += chance.randrange(1, 2000) * MINUTE
        event = chance.choice(("snoozed", "paused", "resumed", "handed_over"))
        until = at + chance.randrange(1, 3000) * MINUTE if event == "snoozed" else None
        owner = chance.choice(owners) if event == "handed_over" else None
        log.append(Event(event=event, at=at, until=until, owner=owner))
    if chance.random() < TAKEN_UP:
        log.append(Event(event="resumed", at=at + 60 * MINUTE))
    return tuple(log), chance.randrange(1, 1500) * MINUTE


def count_minutes(clock: Clock, log: Sequence[Event], span: timedelta) -> datetime | None:
    """Return when a deadline is due by looking at every minute; None where the clock stands at the end of the log."""
    left, last = span, log[-1].at + timedelta(days=20)
    for moment in _minutes(log[0].at, last):
        if _is_running(clock, log, moment):
            left -= MINUTE
            if not left:
                return moment + MINUTE
    return None


def _minutes(first: datetime, last: datetime) -> Iterator[datetime]:
    while first < last:
        yield first
        first += MINUTE


def _is_running(clock: Clock, log: Sequence[Event], moment: datetime) -> bool:
    done = [event for event in log if event.at <= moment]
    stops = [event.event for event in done if event.event in {"paused", "resumed"}]
    snoozes = [event.until for event in done if event.event == "snoozed"]
    if (stops and stops[-1] == "paused") or (snoozes and snoozes[-1] is not None and moment < snoozes[-1]):
        return False
    owner = [event.owner for event in done if event.owner][-1]
    return _is_at_work(clock.of(owner), moment)


def _is_at_work(calendar: Calendar, moment: datetime) -> bool:
    wall = moment.astimezone(ZoneInfo(calendar.timezone))
    minute = wall.hour * 60 + wall.minute
    yesterday = wall.date() - timedelta(days=1)
    return any(
        (begin <= minute < end and _works(calendar, wall.date()))
        or (begin <= minute + 1440 < end and _works(calendar, yesterday))
        for begin, end in calendar.periods
    )


def _works(calendar: Calendar, day: date) -> bool:
    off, on = calendar.holidays.read(day.year) if calendar.holidays else (frozenset(), frozenset())
    return day in on or (day.weekday() in calendar.weekdays and day not in off)


def count_agreeing(clock: Clock, *, draws: int, seed: int) -> int:
    """Return how many random logs the clock and the brute count agree on."""
    chance, agreeing = random.Random(seed), 0
    owners = sorted(set(clock.owners) - {"own"})
    for _ in range(draws):
        log, span = draw_log(chance, owners)
        agreeing += clock.measure(log, _answer_within(span)).due_at == count_minutes(clock, log, span)
    return agreeing


def count_breaches_by_looks(clock: Clock, *, draws: int, seed: int) -> int:
    """Return for how many late answers the number of looks in between changes whether they count as late."""
    chance, changed = random.Random(seed), 0
    for _ in range(draws):
        log, span = draw_log(chance, ["office", "lunch", "china"])
        answered = (*log, Event(event=ACKNOWLEDGED, at=log[-1].at + chance.randrange(1, 5000) * MINUTE))
        final = clock.measure(answered, _answer_within(span))
        looks = [answered[-1].at + step * timedelta(hours=7) for step in range(1, 6)]
        changed += len({final.is_breached(look) for look in looks}) != 1
    return changed


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=300)
    asked = parser.parse_args()
    clock, rows = read_rows()
    right = [row for row in rows if holds(clock, row)]
    for row in rows:
        if row not in right:
            print("WRONG", row.what, clock.measure(row.log, row.deadline).due_at, row.due)
    agreeing = count_agreeing(clock, draws=asked.draws, seed=1)
    changed = count_breaches_by_looks(clock, draws=asked.draws, seed=2)
    command, size = "make bench TOPIC=clock", f"{asked.draws} logs drawn at random"
    record(
        "clock",
        [
            Figure(name="due moments worked out by hand that the clock gives", unit="moments", seed=0, command=command,
                   size=f"{len(rows)} moments", **at_least(len(right), len(rows))),
            Figure(name="logs whose due moment equals a count of every minute", unit="logs", seed=1, command=command,
                   size=size, **at_least(agreeing, asked.draws)),
            Figure(name="answers whose lateness depends on when somebody looked", unit="logs", seed=2, command=command,
                   size=size, **at_most(changed, 0)),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
