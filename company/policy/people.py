"""Who answers alerts, when they work, what reaches them, and what happens when nobody answers."""

from datetime import date
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, model_validator

from company.policy.units import Count, Level, Money, Section

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
Hours = Annotated[float, Field(gt=0)]
_HOURS_OF_A_DAY, _MINUTES_OF_AN_HOUR = 24, 60
_SHAPE = 'write a period in quotes, such as "09:00-12:00"; "22:00-06:00" ends on the next day, "00:00-24:00" is a day'


def _read_period(value: object) -> object:
    """Read `09:00-18:00` as minutes after midnight; one that ends before it begins ends on the next day."""
    if not isinstance(value, str):
        return value
    begin, dash, end = value.partition("-")
    if not dash:
        raise ValueError(_SHAPE)
    first, last = _read_minutes(begin), _read_minutes(end)
    return {"begin": first, "end": last if last > first else last + _HOURS_OF_A_DAY * _MINUTES_OF_AN_HOUR}


def _read_minutes(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and len(minutes) == len("00")):
        raise ValueError(_SHAPE)
    total = int(hours) * _MINUTES_OF_AN_HOUR + int(minutes)
    if int(minutes) >= _MINUTES_OF_AN_HOUR or total > _HOURS_OF_A_DAY * _MINUTES_OF_AN_HOUR:
        raise ValueError(_SHAPE)
    return total


class Period(Section):
    """A part of the day in which people work, in minutes after the midnight on which the day begins."""

    begin: int
    end: int


def _check_zone(name: object) -> object:
    try:
        return None if name is None else ZoneInfo(str(name)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as `Europe/Berlin`") from None


Zone = Annotated[str, BeforeValidator(_check_zone)]
WorkingPeriod = Annotated[Period, BeforeValidator(_read_period)]


class WorkingTime(Section):
    """Working periods, days, holidays and make-up days; an owner's fields that are empty are the company's.

    `country` is a code of the package `holidays` such as CN or DE-BE. `holidays` and `make_up_days` are the company's
    own, by year; a year named there is known even where the package does not know it.
    """

    timezone: Zone | None = None
    periods: tuple[WorkingPeriod, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    country: str | None = None
    holidays: dict[int, tuple[date, ...]] = Field(default_factory=dict)
    make_up_days: dict[int, tuple[date, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _periods_follow_each_other(self) -> Self:
        for earlier, later in zip(self.periods, self.periods[1:], strict=False):
            if later.begin < earlier.end:
                raise ValueError("its periods overlap or are out of order")
        if self.periods and self.periods[-1].end - _HOURS_OF_A_DAY * _MINUTES_OF_AN_HOUR > self.periods[0].begin:
            raise ValueError("its last period reaches into the first one of the next day")
        return self

    @model_validator(mode="after")
    def _days_lie_in_their_year(self) -> Self:
        for days in (self.holidays, self.make_up_days):
            for year, listed in days.items():
                if wrong := [day for day in listed if day.year != year]:
                    raise ValueError(f"{wrong[0]} is listed under the year {year}")
        return self


class Duty(Section):
    """Days on which an owner is on duty, both included."""

    first: date = Field(alias="from")
    last: date = Field(alias="until")


class Owner(Section):
    """Someone who answers alerts: a team, or with `team` one of its members.

    A member takes the customers of its `regions` and `value_tiers` (all where none is named), those with one of the
    reasons it `prefers` first, up to `capacity` unfinished alerts. `address` names the secret that holds the address.
    Where members of a team are on duty, only they are given alerts.
    """

    team: str | None = None
    channel: str = "email"
    address: str | None = None
    language: Literal["en", "zh"] = "en"
    regions: tuple[str, ...] = ()
    value_tiers: tuple[str, ...] = ()
    prefers: tuple[str, ...] = ()
    capacity: Annotated[int, Field(ge=1)] | None = None
    working_time: WorkingTime = WorkingTime()
    duty: tuple[Duty, ...] = ()


class Rung(Section):
    """A rung of the ladder: working hours without an answer, and the owner notified then; empty, the alert's own."""

    after_hours: Hours
    owner: str | None = None


class Step(Section):
    """A step of the response: its name, who does it where it is not the alert's owner, and its working hours."""

    step: Annotated[str, Field(min_length=1)]
    owner: str | None = None
    within_hours: Hours


class Notices(Section):
    """What reaches owners: levels sent one by one, the rest as a digest; cool-down and cap."""

    single: tuple[Level, ...]
    cooldown_days: Count
    messages_per_day: Annotated[int, Field(ge=1)]


class Grade(Section):
    """A grade of a crisis: from how many customers or how much money at risk, who is notified, hours to answer, ladder.

    The first of `owners`, or its member on duty, answers; the others are notified too.
    """

    from_customers: Annotated[int, Field(ge=1)]
    from_money: Money
    owners: Annotated[tuple[str, ...], Field(min_length=1)]
    answer_within_hours: Hours
    escalation: tuple[Rung, ...] = ()


class Incidents(Section):
    """When a rate that rose in a group is an incident, and what each grade of it asks for, the gravest first."""

    group_by: tuple[str, ...]
    days: Annotated[int, Field(ge=1, le=7)]
    baseline_weeks: Annotated[int, Field(ge=4)]
    false_discovery_rate: Annotated[float, Field(gt=0, lt=1)]
    minimum_customers: Annotated[int, Field(ge=2)]
    minimum_ratio: Annotated[float, Field(gt=1)]
    same_customers: Annotated[float, Field(gt=0, le=1)]
    grades: Annotated[dict[str, Grade], Field(min_length=1)]


class Audit(Section):
    """When something has stood still for too long: looks at the clocks, overdue alerts, messages that wait."""

    looks_within_minutes: Annotated[int, Field(ge=1)]
    alerts_within_days: Annotated[int, Field(ge=1)]
    messages_within_hours: Hours
