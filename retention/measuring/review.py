"""The review of a month: which strategies moved or wait for a decision."""

from collections.abc import Sequence
from datetime import date

from retention.measuring.lifecycle import PLATFORM, Review


def pick_latest(reviews: Sequence[Review]) -> tuple[date | None, list[Review]]:
    """Return the day of the last monthly review, and what was decided on it and since: what moved comes first."""
    days = [each.as_of for each in reviews if each.decided_by == PLATFORM]
    day = max(days, default=None)
    shown = [each for each in reviews if day is None or each.as_of >= day]
    return day, sorted(shown, key=lambda each: (each.state == each.state_before, not each.suggestion, each.strategy_id))
