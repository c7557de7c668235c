"""The review of the month: what moved and why, what to decide, what nothing answers, how good the alerts are."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from company.policy.units import LEVELS
from retention.deciding.feedback import NOTHING
from retention.measuring.alert_system import ALL
from retention.measuring.lifecycle import REASONS, SUGGESTIONS, Review
from retention.measuring.review import pick_latest
from serving.access import Condition, Measure, Order, Question
from serving.desk.filters import COUNT
from serving.desk.pages.today import read_names
from serving.desk.visit import Person, Visit

router = APIRouter()
MONEY = Measure(function="sum", name="money", column="money_at_risk")
OF_MONTHS = Condition(column="period", comparison="=", value="month")
NEWEST = (Order(column="period_start", descending=True), Order(column="level"))
MONTHS = 12
UNANSWERED = Condition(column="decision_reason", comparison="=", value="no_strategy")


@router.get("/review")
def show(visit: Person) -> Response:
    """Show the page; it prints as it is."""
    visit.require("strategies")
    day, reviews = pick_latest(visit.desk.store.strategy_reviews.read())
    return visit.render(
        "review.html",
        day=day,
        reviews=[_describe(visit, each) for each in reviews],
        gaps=_list_gaps(visit),
        alerts=_list_alert_months(visit),
        rules=[row for row in visit.ask(Question(relation="alert_rules")) if row["demand"] != NOTHING],
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


def _list_alert_months(visit: Visit) -> list[dict[str, Any]]:
    """Return the newest months of the alert system, all levels together, and the newest one by level as well."""
    rows = visit.ask(Question(relation="alert_system", where=(OF_MONTHS,), order=NEWEST))
    newest = rows[0]["period_start"] if rows else None
    shown = [row for row in rows if row["level"] == ALL or row["period_start"] == newest][: MONTHS + len(LEVELS)]
    ladder = {level: place for place, level in enumerate((ALL, *LEVELS))}
    return sorted(shown, key=lambda row: (-row["period_start"].toordinal(), ladder.get(row["level"], len(ladder))))
