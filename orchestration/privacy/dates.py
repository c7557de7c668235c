"""Due dates of requests, by the law, its country's calendar or the company's."""

from datetime import date

from company.policy.people import WorkingTime
from company.policy.privacy import Law
from orchestration.deployment import Deployment
from privacy.due import find_due_date
from privacy.requests import RequestError
from retention.acting.calendar import Calendar, make_calendar


def compute_due_date(deployment: Deployment, law: str, *, received_on: date, is_extended: bool = False) -> date:
    """Return the day until which a request under a law must be answered.

    Raises RequestError for a law that the policy does not have, or one that knows no extension; UnknownYearError where
    the holidays of a year are not known.
    """
    laws = deployment.policy.privacy.laws
    if law not in laws:
        raise RequestError(f"There is no law {law!r}; `privacy.laws` in the policy has {', '.join(laws)}.")
    if is_extended and laws[law].extended_by is None:
        raise RequestError(f"The law {law} knows no extension; `privacy.laws.{law}.extended_by` would name one.")
    calendar = _make_calendar(deployment, laws[law])
    return find_due_date(received_on, laws[law], is_extended=is_extended, is_working_day=calendar.is_working_day)


def _make_calendar(deployment: Deployment, law: Law) -> Calendar:
    usual, timezone = deployment.policy.working_time, deployment.company.timezone
    working = usual if law.country is None else WorkingTime(weekdays=usual.weekdays, country=law.country)
    return make_calendar(working, timezone=timezone)
