"""Requests of the people whom data are about: within which time each law wants them answered."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from company.contract import TABLES
from company.policy.units import Days, Section

Whole = Annotated[int, Field(ge=1)]

Place = Literal["quarantine", "exports", "logs"]
_PLACES: tuple[Place, ...] = get_args(Place)
_DATED = tuple(name for name, table in TABLES.items() if table.moment and name != "customers")
Purpose = Literal["prediction", "marketing", "service", "measurement"]


class Span(Section):
    """A time in one unit: calendar months, calendar days or working days."""

    months: Whole | None = None
    days: Whole | None = None
    working_days: Whole | None = None

    @model_validator(mode="after")
    def _has_one_unit(self) -> Self:
        if len([unit for unit in (self.months, self.days, self.working_days) if unit]) != 1:
            raise ValueError("a time has one unit; write `months`, `days` or `working_days`")
        return self


class Law(Section):
    """How long a request may take, how much longer after an extension, and whose working days count.

    `country` is a code of the package `holidays`; without one the company's `working_time` counts. With
    `ends_on_working_day` a request that would be due on a day without work is due on the next one with work.
    """

    within: Span
    extended_by: Span | None = None
    country: str | None = None
    ends_on_working_day: bool = False


class Record(Section):
    """What the record of processing names and no file of a company tells; `legal_basis` is by purpose."""

    contact: str | None = None
    officer: str | None = None
    transfers: str | None = None
    legal_basis: dict[Purpose, str] = Field(default_factory=dict)


class Privacy(Section):
    """The laws by name, which of them holds unless a request names another, and when its due date is pointed out.

    `keep_days` is by place or source table: what is older goes with the next night, and is not taken in again.
    """

    law: str
    laws: dict[str, Law]
    remind_days_before: Days
    keep_days: dict[str, Whole]
    record: Record = Record()

    @property
    def kept_places(self) -> "dict[Place, int]":
        """The days of what is no source table."""
        return {place: self.keep_days[place] for place in _PLACES if place in self.keep_days}

    @property
    def kept_tables(self) -> dict[str, int]:
        """The days of source tables."""
        return {name: days for name, days in self.keep_days.items() if name in _DATED}

    @model_validator(mode="after")
    def _keeps_what_has_a_moment(self) -> Self:
        for name in sorted({*self.keep_days} - {*_PLACES, *_DATED}):
            raise ValueError(f"`keep_days` names {name!r}; it takes {', '.join((*_PLACES, *_DATED))}")
        return self

    @model_validator(mode="after")
    def _knows_its_law(self) -> Self:
        if self.law not in self.laws:
            raise ValueError(f"`law` is {self.law!r}, which `laws` does not have; it has {', '.join(self.laws)}")
        return self
