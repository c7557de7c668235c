"""The review of a month: what became of its alerts, and which strategies moved or wait for a decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from retention.measuring.lifecycle import PLATFORM, Review

if TYPE_CHECKING:
    import pandas as pd

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class AlertSystem:
    """How a month's alerts were answered, in shares of those raised; None where there is nothing to measure.

    `answered_in_time` is of those that were due by now, `hours_to_answer` a median, `useful` of those with feedback.
    """

    raised: int
    answered: int
    answered_in_time: float | None
    hours_to_answer: float | None
    with_feedback: int
    useful: float | None


def assess_alerts(alerts: "pd.DataFrame", *, since: date, until: date, now: datetime) -> AlertSystem:
    """Assess the alerts of the days from `since` to before `until`.

    Args:
        alerts: as the operational store reads them: as_of, raised_at, due_at, acknowledged_at, closed_at, feedback.
        since: the first day.
        until: the day after the last.
        now: an alert that is neither answered nor due by then counts for no share.
    """
    import pandas as pd

    days = pd.to_datetime(alerts["as_of"]).dt.date
    month = alerts.loc[(days >= since) & (days < until)]
    raised, due, taken, closed = (
        pd.to_datetime(month[name], utc=True) for name in ("raised_at", "due_at", "acknowledged_at", "closed_at")
    )
    answered = taken.fillna(closed)
    is_settled = answered.notna() | (due <= pd.Timestamp(now))
    in_time = (answered <= due)[is_settled]
    feedback = month["feedback"].dropna()
    hours = (answered - raised).dropna().dt.total_seconds() / _HOUR
    return AlertSystem(
        raised=len(month),
        answered=int(answered.notna().sum()),
        answered_in_time=float(in_time.mean()) if len(in_time) else None,
        hours_to_answer=float(hours.median()) if len(hours) else None,
        with_feedback=len(feedback),
        useful=float(feedback.eq("useful").mean()) if len(feedback) else None,
    )


def pick_latest(reviews: Sequence[Review]) -> tuple[date | None, list[Review]]:
    """Return the day of the last monthly review, and what was decided on it and since: what moved comes first."""
    days = [each.as_of for each in reviews if each.decided_by == PLATFORM]
    day = max(days, default=None)
    shown = [each for each in reviews if day is None or each.as_of >= day]
    return day, sorted(shown, key=lambda each: (each.state == each.state_before, not each.suggestion, each.strategy_id))
