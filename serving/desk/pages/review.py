"""The review of the month: what moved and why, what to decide, what nothing answers, how alerts were answered."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.measuring.lifecycle import REASONS, SUGGESTIONS, Review
from retention.measuring.review import assess_alerts, pick_latest
from serving.access import Condition, Measure, Question
from serving.desk.pages.today import COUNT, read_names
from serving.desk.visit import Person, Visit

router = APIRouter()
MONEY = Measure(function="sum", name="money", column="money_at_risk")
UNANSWERED = Condition(column="decision_reason", comparison="=", value="no_strategy")


@router.get("/review")
def show(visit: Person) -> Response:
    """Show the page; it prints as it is."""
    visit.require("strategies")
    day, reviews = pick_latest(visit.desk.store.strategy_reviews.read())
    until = day or visit.now.date()
    since = (until - timedelta(days=1)).replace(day=1)
    alerts = visit.desk.store.alerts.read()
    return visit.render(
        "review.html",
        day=day,
        since=since,
        reviews=[_describe(visit, each) for each in reviews],
        gaps=_list_gaps(visit),
        alerts=assess_alerts(alerts, since=since, until=until, now=visit.now),
        names=read_names(visit, "strategies", "strategy_id"),
    )


def _describe(visit: Visit, review: Review) -> dict[str, Any]:
    place = 1 if visit.words.language == "zh" else 0
    return {
        **vars(review),
        "why": review.note or REASONS[review.reason][place],
        "decide": SUGGESTIONS[review.suggestion][place],
        "has_moved": review.state != review.state_before,
    }


def _list_gaps(visit: Visit) -> list[dict[str, Any]]:
    """Return the reasons of customers whom no strategy of the library answers, the most money at risk first."""
    by_reason = Question(relation="plans", columns=("main_reason",), where=(UNANSWERED,), measures=(COUNT, MONEY))
    return sorted(visit.ask(by_reason), key=lambda row: -(row["money"] or 0))
