"""Alerts: who answers for whom until when, and the answers."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.alerts import STATES
from retention.store.answers import FEEDBACK, Answerable
from serving.access import Condition, Measure, Order, Question
from serving.answers import Answer, MovedOnError, give_answer
from serving.desk.pages.today import COUNT, TIERS
from serving.desk.visit import Form, InvalidRequestError, NotFoundError, Person, Visit, go_to
from serving.live import read_live_alerts

router = APIRouter()
SNOOZE_DAYS = (1, 3, 7, 14)
PAGE = 25
CONFLICT = 409
ORDER = (Order(column="position"),)


@router.get("/alerts")
def list_alerts(visit: Person) -> Response:
    """Show the alerts of a state, the most urgent first."""
    visit.require("alerts")
    return show_alerts(visit)


def show_alerts(visit: Visit, *, message: str | None = None, status: int = 200) -> Response:
    """Return the page; `message` is what went wrong with an answer."""
    state = visit.parameter("state") or "open"
    if state not in STATES:
        raise InvalidRequestError("There is no such state of an alert.")
    ids = visit.desk.store.alerts.find(state, at=visit.now)
    where = [Condition(column="alert_id", comparison="in", value=ids)]
    where += [
        Condition(column=name, comparison="=", value=value)
        for name in ("level", "owner")
        if (value := visit.parameter(name)) is not None
    ]
    after = visit.read_key(ORDER)
    rows = visit.ask(Question(relation="alerts", where=tuple(where), order=ORDER, after=after, limit=PAGE + 1))
    owners = Question(relation="alerts", columns=("owner",), measures=(COUNT,), order=(Order(column="owner"),))
    money = Measure(function="sum", name="money", column="money_at_risk")
    live = [] if after else read_live_alerts(visit, ids, limit=PAGE)
    live = [row for row in live if all(visit.parameter(name) in {None, row.get(name)} for name in ("level", "owner"))]
    return visit.render(
        "alerts.html",
        status=status,
        message=message,
        live=live,
        rows=rows[:PAGE],
        states=visit.desk.store.alerts.states([row["alert_id"] for row in (*live, *rows[:PAGE])]),
        totals=visit.count("alerts", *where, money=money),
        options={"state": STATES, "level": TIERS, "owner": [row["owner"] for row in visit.ask(owners)]},
        state=state,
        next=visit.link(after=f"[{rows[PAGE - 1]['position']}]") if len(rows) > PAGE else None,
        is_first=not after,
        snooze_days=SNOOZE_DAYS,
        feedback=FEEDBACK,
    )


@router.post("/alerts/{alert_id}/{action}")
def answer(visit: Person, alert_id: str, action: str, form: Form) -> Response:
    """Take an alert on, put it off, hand it over or close it."""
    visit.require("answer")
    alert = find_alert(visit, alert_id)
    given = read_answer(visit, action, form)
    return answer_or_report(visit, visit.desk.store.alerts, alert_id, given, alert["customer_id"]) or go_to(
        form.get("back", "/alerts")
    )


def find_alert(visit: Visit, alert_id: str) -> dict[str, Any]:
    """Return an alert that the person may see, published or live. Raises NotFoundError."""
    try:
        return visit.find("alerts", "alert_id", alert_id)
    except NotFoundError:
        live = read_live_alerts(visit, [alert_id], limit=1)
        if not live:
            raise
        return live[0]


def answer_or_report(
    visit: Visit, of: Answerable, its_id: str, given: Answer, customer_id: str | None = None
) -> Response | None:
    """Give an answer; return a page where somebody else was faster."""
    try:
        give_answer(visit, of, its_id, given, customer_id=customer_id)
    except MovedOnError:
        message = visit.words.text("error.changed")
        return visit.render("error.html", status=CONFLICT, message=message, fix="")
    return None


def read_answer(visit: Visit, action: str, form: dict[str, str]) -> Answer:
    """Return the answer that a form gives. Raises InvalidRequestError."""
    days, owner, feedback = (form.get(name, "") for name in ("days", "owner", "feedback"))
    is_whole = {
        "acknowledge": True,
        "snooze": days in {str(each) for each in SNOOZE_DAYS},
        "hand_over": owner in visit.desk.policy.owners,
        "close": feedback in FEEDBACK,
    }
    if not is_whole.get(action, False):
        raise InvalidRequestError("There is no such answer.")
    until = visit.now + timedelta(days=int(days)) if action == "snooze" else None
    return Answer(action=action, until=until, owner=owner, feedback=feedback, note=form.get("note", ""))
