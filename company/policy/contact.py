"""When a customer may be contacted, and what happened to a customer lately that is a reason to."""

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from company.policy.units import Count, Days, Section, Share
from company.taxonomy import Reason

Consent = Literal["opt_in", "opt_out"]
Purpose = Literal["marketing", "service"]


def _require_text(value: object) -> object:
    if isinstance(value, (int, float)):  # YAML reads 21:00 without quotes as the number 1260
        raise ValueError('write a time of day in quotes, such as "21:00"')  # noqa: TRY004 - pydantic reports ValueError
    return value


TimeOfDay = Annotated[time, BeforeValidator(_require_text)]


class QuietHours(Section):
    """From `begin` to `end` on the company's clock nothing is sent by these channels; `begin` may be the later one."""

    begin: TimeOfDay
    end: TimeOfDay
    channels: tuple[str, ...]

    def covers(self, moment: time) -> bool:
        """Tell whether a time of day on the company's clock is quiet."""
        if self.begin <= self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end


class ContactCaps(Section):
    """The most marketing contacts of one customer within 1, 7 and 30 days, the company's own campaigns included."""

    day: Count
    week: Count
    month: Count

    @model_validator(mode="after")
    def _nest(self) -> Self:
        if not self.day <= self.week <= self.month:
            raise ValueError("a longer window cannot allow fewer contacts than a shorter one")
        return self


class ContactRules(Section):
    """Consent by purpose, quiet hours and caps.

    `channels` names for each of our channels the channel that a consent names; consents for `all` hold for each.
    `no_marketing_during` are triggers that hold back every marketing message but one that answers them.
    """

    consent: dict[Purpose, Consent]
    channels: dict[str, str]
    no_marketing_during: tuple[str, ...]
    quiet_hours: QuietHours
    caps: ContactCaps


class StatedReasons(Section):
    """How long what a customer stated counts, in days, and the words by which it is recognised, by reason."""

    within_days: Days
    words: dict[Reason, tuple[Annotated[str, Field(min_length=1)], ...]]


class InferredReasons(Section):
    """What a reason that is inferred from behaviour must account for: a share of what raises the customer's risk."""

    minimum_share: Share


class Triggers(Section):
    """How lately something must have happened to be a trigger, in days; `seen_at_least_days` is a count of days."""

    seen_within_days: Days
    seen_at_least_days: Annotated[int, Field(ge=1)]
    cart_within_days: Days
    renewal_within_days: Days
    failure_within_days: Days
    complaint_within_days: Days
    topic_within_days: Days
