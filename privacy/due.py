"""Until when a request must be answered: calendar months, calendar days or working days after it came."""

import calendar
from collections.abc import Callable
from datetime import date, timedelta

from company.policy.privacy import Law, Span

_MONTHS_OF_A_YEAR = 12


def find_due_date(received_on: date, law: Law, *, is_extended: bool, is_working_day: Callable[[date], bool]) -> date:
    """Return the last day on which a request is answered in time.

    The day of the request does not count. Months end on the day of the same number, or on the last day of a month
    that has none (Regulation 1182/71, article 3). An extension in the same unit counts from the request on.
    """
    due = received_on
    for span in _spans(law, is_extended=is_extended):
        due = _add(due, span, is_working_day)
    while law.ends_on_working_day and not is_working_day(due):
        due += timedelta(days=1)
    return due


def _spans(law: Law, *, is_extended: bool) -> list[Span]:
    """Return the times that follow each other; months together are one, so that 31 January + 1 + 2 is 30 April."""
    if not is_extended or law.extended_by is None:
        return [law.within]
    if law.within.months and law.extended_by.months:
        return [Span(months=law.within.months + law.extended_by.months)]
    return [law.within, law.extended_by]


def _add(day: date, span: Span, is_working_day: Callable[[date], bool]) -> date:
    if span.months:
        return _add_months(day, span.months)
    if span.days:
        return day + timedelta(days=span.days)
    left = span.working_days or 0
    while left:
        day += timedelta(days=1)
        left -= is_working_day(day)
    return day


def _add_months(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, _MONTHS_OF_A_YEAR)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
