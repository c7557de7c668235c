"""When an answer is due: a table worked out by hand, a count of every minute, and what a log cannot undo."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from bench.clock import count_agreeing, holds, read_rows
from company.policy import PolicyError, load_policy
from company.policy.people import WorkingTime
from retention.acting.calendar import CalendarError, UnknownYearError, inherit, make_calendar, read_country
from retention.acting.clock import ANSWERS, RAISED, STEP, Clock, Deadline, Event, list_deadlines, make_clock

CLOCK, ROWS = read_rows()
MONDAY = datetime(2026, 6, 1, 7, 0, tzinfo=UTC)  # nine o'clock in Berlin
USUAL = load_policy().working_time


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_an_answer_is_due_when_it_was_worked_out_to_be(row) -> None:  # noqa: ANN001 - a row of the table
    assert holds(CLOCK, row)


def test_a_wrong_row_of_the_table_is_noticed() -> None:
    assert not any(holds(Clock(usual=CLOCK.usual), row) for row in ROWS if row.what.startswith("New York's shift"))


def test_the_clock_counts_what_counting_every_minute_counts() -> None:
    assert count_agreeing(CLOCK, draws=4, seed=5) == 4


def test_the_order_in_which_a_log_is_read_does_not_matter() -> None:
    row = next(row for row in ROWS if len(row.log) == 3)
    shuffled = list(row.log)
    random.Random(0).shuffle(shuffled)
    assert CLOCK.measure(shuffled, row.deadline) == CLOCK.measure(row.log, row.deadline)


def test_what_is_done_after_a_deadline_was_missed_does_not_undo_that() -> None:
    deadline = Deadline(name="answer", kind="answer", span=timedelta(hours=1), ends=ANSWERS)
    log = [Event(event=RAISED, at=MONDAY, owner="office")]
    late = [Event(event="snoozed", at=MONDAY + timedelta(hours=3), until=MONDAY + timedelta(days=3))]
    late.append(Event(event="acknowledged", at=MONDAY + timedelta(hours=4)))
    dues = [CLOCK.measure([*log, *late[:count]], deadline) for count in range(3)]
    assert {due.due_at for due in dues} == {MONDAY + timedelta(hours=1)}
    assert all(due.is_breached(MONDAY + timedelta(hours=5)) for due in dues)


def test_a_step_begins_when_the_one_before_it_is_done() -> None:
    clock, policy = make_clock(load_policy(), timezone="Europe/Berlin"), load_policy()
    log = [
        Event(event=RAISED, at=MONDAY, owner="retention desk"),
        Event(event="acknowledged", at=MONDAY + timedelta(minutes=30)),
        Event(event="step_done", step="identify", at=MONDAY + timedelta(hours=2)),
    ]
    steps = [
        each
        for each in list_deadlines((), policy.response_steps["high"], answer=timedelta(hours=1))
        if each.kind == STEP
    ]
    dues = [clock.measure(log, step) for step in steps]
    assert [due.due_at and due.due_at - MONDAY for due in dues] == [
        timedelta(hours=1, minutes=30), timedelta(hours=5), None, None,
    ]  # fmt: skip
    assert [due.is_breached(MONDAY + timedelta(hours=3)) for due in dues] == [True, False, False, False]


def test_time_used_is_counted_until_a_moment_and_not_while_the_clock_stands() -> None:
    log = [Event(event=RAISED, at=MONDAY, owner="office"), Event(event="paused", at=MONDAY + timedelta(hours=2))]
    assert CLOCK.used(log, until=MONDAY + timedelta(days=1)) == timedelta(hours=2)


def test_an_owner_inherits_what_it_does_not_say_of_its_working_time() -> None:
    policy = load_policy({"owners": {"night desk": {"working_time": {"periods": ["18:00-23:00"]}}}})
    clock = make_clock(policy, timezone="Europe/Berlin")
    assert clock.of("night desk").weekdays == clock.of("anybody").weekdays == frozenset(range(5))
    assert clock.of("night desk").add(MONDAY, timedelta(hours=1)) == MONDAY + timedelta(hours=10)


def test_a_country_is_known_as_far_as_its_make_up_days_are_announced() -> None:
    assert read_country("CN", 2026) is not None
    assert read_country("CN", 2031) is None
    assert read_country("DE-BE", 2031) is not None


def test_the_company_may_name_a_year_that_the_package_does_not_know() -> None:
    named = WorkingTime.model_validate({"country": "CN", "holidays": {2031: ["2031-01-01"]}})
    calendar = make_calendar(inherit(named, USUAL), timezone="Asia/Shanghai")
    assert not calendar.is_working_day(date(2031, 1, 1))
    with pytest.raises(UnknownYearError, match=r"holidays of 2032 .* `policy.working_time.holidays.2032`"):
        calendar.is_working_day(date(2032, 1, 1))


def test_an_unknown_country_and_a_calendar_without_work_are_refused() -> None:
    unknown = make_calendar(inherit(WorkingTime(country="XX"), USUAL), timezone="UTC")
    with pytest.raises(CalendarError, match="knows no holidays; write an ISO code"):
        unknown.is_working_day(date(2026, 1, 1))
    idle = make_calendar(WorkingTime(), timezone="UTC")
    with pytest.raises(CalendarError, match="has no 1:00:00 of working time"):
        idle.add(MONDAY, timedelta(hours=1))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"periods": ["9-18"]}, "write a period in quotes"),
        ({"periods": ["09:00-12:00", "11:00-18:00"]}, "overlap"),
        ({"periods": ["08:00-12:00", "22:00-09:00"]}, "reaches into the first one"),
        ({"holidays": {2026: ["2027-01-01"]}}, "listed under the year 2026"),
        ({"timezone": "Berlin"}, "is no time zone"),
    ],
)
def test_a_working_time_that_cannot_be_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        load_policy({"working_time": changes})
