"""Until when a request must be answered, by law."""

from datetime import date

import pytest

from company.policy import PolicyError, load_policy
from company.policy.people import WorkingTime
from company.policy.privacy import Law, Span
from privacy.due import find_due_date
from retention.acting.calendar import make_calendar

LAWS = load_policy().privacy.laws
WEEKDAYS = WorkingTime(weekdays=("monday", "tuesday", "wednesday", "thursday", "friday"))
COMPANY = make_calendar(WEEKDAYS, timezone="Europe/Berlin")
CHINA = make_calendar(WEEKDAYS.model_copy(update={"country": "CN"}), timezone="Asia/Shanghai")


@pytest.mark.parametrize(
    ("law", "received", "is_extended", "due"),
    [
        ("gdpr", date(2023, 1, 31), False, date(2023, 2, 28)),
        ("gdpr", date(2024, 1, 31), False, date(2024, 2, 29)),  # a leap year
        ("gdpr", date(2024, 2, 29), False, date(2024, 3, 29)),
        ("gdpr", date(2023, 12, 15), False, date(2024, 1, 15)),
        ("gdpr", date(2023, 1, 31), True, date(2023, 4, 30)),  # three months from the request on, not 28 April
        ("gdpr", date(2023, 11, 30), True, date(2024, 2, 29)),
        ("ccpa", date(2024, 1, 1), False, date(2024, 2, 15)),
        ("ccpa", date(2024, 1, 1), True, date(2024, 3, 31)),
        ("lgpd", date(2024, 2, 20), False, date(2024, 3, 6)),
        # 10-17 February 2024 are holidays; Sunday 4 and Sunday 18 February are worked for them
        ("pipl", date(2024, 2, 1), False, date(2024, 2, 27)),
        ("pipl", date(2024, 4, 29), False, date(2024, 5, 22)),  # Saturday 11 May is worked for Labour Day
    ],
)
def test_a_request_is_due_when_its_law_has_it(law: str, received: date, is_extended: bool, due: date) -> None:  # noqa: FBT001
    calendar = CHINA if LAWS[law].country == "CN" else COMPANY
    found = find_due_date(received, LAWS[law], is_extended=is_extended, is_working_day=calendar.is_working_day)
    assert found == due


def test_a_law_may_move_the_last_day_to_the_next_one_with_work() -> None:
    law = Law(within=Span(days=2), ends_on_working_day=True)
    thursday = date(2024, 5, 16)
    assert find_due_date(thursday, law, is_extended=False, is_working_day=COMPANY.is_working_day) == date(2024, 5, 20)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"law": "hipaa"}, "hipaa"),
        ({"laws": {"own": {"within": {"months": 1, "days": 2}}}}, "one unit"),
        ({"laws": {"own": {"within": {"days": 0}}}}, "within.days"),
        ({"keep_days": {"customers": 30}}, "`keep_days` names 'customers'; it takes quarantine"),
    ],
)
def test_a_wrong_law_in_the_policy_is_refused_by_its_key(changes: dict[str, object], named: str) -> None:
    with pytest.raises(PolicyError, match=named):
        load_policy({"privacy": changes})
