"""The calendar of people: when they work, in their own time zone, on which days of which years."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from company.policy.people import WEEKDAYS

if TYPE_CHECKING:
    from holidays import HolidayBase

    from company.policy.people import WorkingTime

_FAR = timedelta(days=400)  # an answer that is further away is a fault of the calendar
_FIRST_YEAR, _END_YEAR = 2000, 2100  # between which the package is asked for years with make-up days
_NOTHING = timedelta(0)


class UnknownYearError(Exception):
    """The holidays of a year are not known; the message is one paragraph with the fix."""


class CalendarError(Exception):
    """A calendar cannot be used; the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Working time in one time zone.

    Args:
        timezone: whose clock the periods are on.
        periods: minutes after midnight at which work begins and ends, in order; one beyond 1440 ends on the next day.
        weekdays: days of the week with work, Monday is 0.
        holidays: days without work, by year; None where none are observed, so that every year is known.
        make_up_days: days with work whatever day of the week they are, by year.
    """

    timezone: str
    periods: tuple[tuple[int, int], ...]
    weekdays: frozenset[int]
    holidays: "Holidays | None" = None
    _spans: dict[date, tuple[tuple[datetime, datetime], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def is_working_day(self, day: date) -> bool:
        """Return whether people work on a day. Raises UnknownYearError."""
        if self.holidays is None:
            return day.weekday() in self.weekdays
        off, on = self.holidays.read(day.year)
        return day in on or (day.weekday() in self.weekdays and day not in off)

    def add(self, moment: datetime, span: timedelta) -> datetime:
        """Return the moment at which `span` of working time has passed since `moment`, in UTC.

        A span that ends together with a period is over then, and not when the next one begins. Raises UnknownYearError.
        """
        left = span
        for begin, end in self._after(moment):
            first = max(begin, moment)
            if first + left <= end:
                return first + left
            left -= end - first
        raise CalendarError(
            f"Within {_FAR.days} days after {moment:%Y-%m-%d} the calendar of {self.timezone} has no {span} of working "
            "time; look at `working_time` in the policy, and at the holidays in it."
        )

    def between(self, first: datetime, last: datetime) -> timedelta:
        """Return the working time between two moments, nothing where `last` is the earlier one."""
        total = _NOTHING
        for begin, end in self._after(first):
            if begin >= last:
                break
            total += max(min(end, last) - max(begin, first), _NOTHING)
        return total

    def is_open(self, moment: datetime) -> bool:
        """Return whether people are at work at a moment."""
        begin, _ = next(self._after(moment))
        return begin <= moment

    def _after(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield working periods that end after a moment, in UTC and in order."""
        day = moment.astimezone(ZoneInfo(self.timezone)).date() - timedelta(days=1)  # its last one may reach over
        last = day + _FAR
        while day < last:
            yield from (span for span in self._spans_of(day) if span[1] > moment)
            day += timedelta(days=1)

    def _spans_of(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        if day not in self._spans:
            periods = self.periods if self.is_working_day(day) else ()
            self._spans[day] = tuple((self._at(day, begin), self._at(day, end)) for begin, end in periods)
        return self._spans[day]

    def _at(self, day: date, minutes: int) -> datetime:
        """Return the moment at which the clock on the wall shows so many minutes after a midnight."""
        days, rest = divmod(minutes, 1440)
        wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), tzinfo=ZoneInfo(self.timezone))
        return wall.astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Holidays:
    """Days without work and make-up days, by year: the company's own, and those of a country.

    A year that the company names is known; of a country, a year that the package covers. A country that moves working
    days announces them year by year: of such a one no year after the last announced is known.
    """

    country: str | None
    own: Mapping[int, tuple[date, ...]]
    own_make_up: Mapping[int, tuple[date, ...]]

    def read(self, year: int) -> tuple[frozenset[date], frozenset[date]]:
        """Return holidays and make-up days of a year. Raises UnknownYearError."""
        off, on = (frozenset(days.get(year, ())) for days in (self.own, self.own_make_up))
        is_named = year in self.own or year in self.own_make_up
        known = None if self.country is None else read_country(self.country, year)
        if known is None and not is_named:
            whose = f"the package `holidays` of {self.country}" if self.country else "the company"
            raise UnknownYearError(
                f"The holidays of {year} are not known from {whose}, so no moment in {year} at which an answer is due "
                f"can be computed; name them in company.yaml under `policy.working_time.holidays.{year}` (and "
                f"`make_up_days.{year}`), or update the package."
            )
        country_off, country_on = known or (frozenset(), frozenset())
        return (off | country_off) - on, (on | country_on) - off


@cache
def read_country(code: str, year: int) -> tuple[frozenset[date], frozenset[date]] | None:
    """Return holidays and make-up days of a country, such as CN or DE-BE; None for a year that is not known.

    Raises CalendarError for an unknown code.
    """
    country, _, part = code.partition("-")
    found = _ask(country, part, (year,))
    last = _find_last_make_up_year(country, part)
    if not found.start_year <= year <= found.end_year or (last is not None and year > last):
        return None
    on = frozenset(day for day in found.weekend_workdays if day.year == year)
    return frozenset(day for day in found if day.year == year) - on, on


@cache
def _find_last_make_up_year(country: str, part: str) -> int | None:
    days = _ask(country, part, range(_FIRST_YEAR, _END_YEAR)).weekend_workdays
    return max((day.year for day in days), default=None)


def _ask(country: str, part: str, years: "Iterable[int]") -> "HolidayBase":
    from holidays import country_holidays

    try:
        return country_holidays(country, subdiv=part or None, years=years)
    except NotImplementedError:
        raise CalendarError(
            f"`working_time.country` is {f'{country}-{part}' if part else country!r}, of which the package `holidays` "
            "knows no holidays; write an ISO code such as CN, DE or DE-BE, or null and your own days under `holidays`."
        ) from None


def make_calendar(working: "WorkingTime", *, timezone: str) -> Calendar:
    """Return the calendar of a working time; `timezone` holds where it names none."""
    is_observed = working.country is not None or working.holidays or working.make_up_days
    return Calendar(
        timezone=working.timezone or timezone,
        periods=tuple((period.begin, period.end) for period in working.periods),
        weekdays=frozenset(WEEKDAYS.index(day) for day in working.weekdays),
        holidays=Holidays(country=working.country, own=working.holidays, own_make_up=working.make_up_days)
        if is_observed
        else None,
    )


def inherit(working: "WorkingTime", usual: "WorkingTime") -> "WorkingTime":
    """Return a working time with what it leaves empty taken from the usual one."""
    given = {name for name in type(working).model_fields if getattr(working, name)}
    return usual.model_copy(update={name: getattr(working, name) for name in given})


ALWAYS = Calendar(timezone="UTC", periods=((0, 1440),), weekdays=frozenset(range(7)))
