"""The review of a month."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd

from retention.measuring.review import AlertSystem, assess_alerts

RAISED = datetime(2026, 1, 10, 8, tzinfo=UTC)
NEVER = pd.NaT


def _alert(day: int, answered: float | None, *, due: float = 4.0, feedback: str | None = None) -> dict[str, object]:
    """Return an alert of a day in January, answered and due so many hours after it was raised."""
    raised = RAISED.replace(day=day)
    taken = NEVER if answered is None else raised + timedelta(hours=answered)
    return {
        "as_of": date(2026, 1, day), "raised_at": raised, "due_at": raised + timedelta(hours=due),
        "acknowledged_at": taken, "closed_at": NEVER, "feedback": feedback,
    }  # fmt: skip


def test_alerts_are_assessed_by_when_they_were_answered_and_what_people_thought_of_them() -> None:
    alerts = pd.DataFrame(
        [
            _alert(10, 1.0, feedback="useful"),
            _alert(11, 3.0, feedback="wrong"),
            _alert(12, 9.0),
            _alert(13, None),
            _alert(14, None, due=24 * 365),
            _alert(2, 1.0),
        ]
    )
    found = assess_alerts(alerts, since=date(2026, 1, 5), until=date(2026, 2, 1), now=RAISED.replace(month=2))
    assert found == AlertSystem(
        raised=5, answered=3, answered_in_time=0.5, hours_to_answer=3.0, with_feedback=2, useful=0.5
    )


def test_a_month_without_alerts_has_no_shares() -> None:
    alerts = pd.DataFrame([_alert(10, 1.0)])
    found = assess_alerts(alerts, since=date(2026, 3, 1), until=date(2026, 4, 1), now=RAISED)
    assert (found.raised, found.answered_in_time, found.hours_to_answer, found.useful) == (0, None, None, None)
