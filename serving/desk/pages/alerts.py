"""Alerts: who answers for whom until when, and the answers."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.alerts import FEEDBACK, STATES
from serving.access import Condition, Measure, Order, Question
from serving.desk.pages.today import COUNT, TIERS
from serving.desk.visit import Form, InvalidRequestError, NotFoundError, Person, Visit, go_to

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
    return visit.render(
        "alerts.html",
        status=status,
        message=message,
        rows=rows[:PAGE],
        states=visit.desk.store.alerts.states([row["alert_id"] for row in rows[:PAGE]]),
        totals=visit.count("alerts", *where, money=money),
        options={"state": STATES, "level": TIERS, "owner": [row["owner"] for row in visit.ask(owners)]},
        state=state,
        next=visit.link(after=f"[{rows[PAGE - 1]['position']}]") if len(rows) > PAGE else None,
        is_first=not after,
        snooze_days=SNOOZE_DAYS,
        feedback=FEEDBACK,
    )


@router.post("/alerts/{alert_id}/{answer}")
def answer(visit: Person, alert_id: str, answer: str, form: Form) -> Response:
    """Take an alert on, put it off or close it; it stands in the audit log, before and after."""
    visit.require("answer")
    alert = _find(visit, alert_id)
    before = visit.desk.store.alerts.states([alert_id])[alert_id]["state"]
    try:
        detail = _apply(visit, alert_id, answer, form)
    except ValueError:
        message = visit.words.text("error.changed")
        return visit.render("error.html", status=CONFLICT, message=message, fix="")
    customer = alert["customer_id"] if visit.sees("customer_id") == "clear" else None
    visit.record(answer, customer_id=customer, subject=alert_id, detail=f"{before} -> {detail}")
    return go_to(form.get("back", "/alerts"))


def _find(visit: Visit, alert_id: str) -> dict[str, Any]:
    """Return an alert among those that the person may see. Raises NotFoundError."""
    alert = visit.find("alerts", "alert_id", alert_id)
    if alert_id not in visit.desk.store.alerts.states([alert_id]):
        raise NotFoundError
    return alert


def _apply(visit: Visit, alert_id: str, answer: str, form: dict[str, str]) -> str:
    """Write the answer to the store and return what became of the alert. Raises ValueError when it has moved on."""
    alerts, by, at = visit.desk.store.alerts, visit.user.name, visit.now
    note, clock = form.get("note", ""), visit.clock
    if answer == "acknowledge":
        alerts.acknowledge(alert_id, by=by, at=at, clock=clock)
        return "acknowledged"
    if answer == "hand_over" and form.get("owner") in visit.desk.policy.owners:
        alerts.hand_over(alert_id, to=form["owner"], by=by, at=at, note=note, clock=clock)
        return f"handed over to {form['owner']}"
    if answer == "snooze" and form.get("days") in {str(days) for days in SNOOZE_DAYS}:
        until = at + timedelta(days=int(form["days"]))
        alerts.snooze(alert_id, by=by, at=at, until=until, note=note, clock=clock)
        return f"snoozed until {until:%Y-%m-%d %H:%M} UTC"
    if answer == "close" and form.get("feedback") in FEEDBACK:
        alerts.close(alert_id, by=by, at=at, feedback=form["feedback"], note=note, clock=clock)
        return f"closed, {form['feedback']}"
    raise InvalidRequestError("There is no such answer to an alert.")
