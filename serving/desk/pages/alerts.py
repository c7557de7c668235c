"""Alerts: who answers for whom until when, and the answers."""

from dataclasses import replace
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.alerts import STATES
from retention.store.answers import FEEDBACK, Answerable
from serving.access import Condition, Measure, Order, Question
from serving.answers import Answer, MovedOnError, give_answer
from serving.deadlines import read_deadlines
from serving.desk.files import send_answer
from serving.desk.filters import OF_CUSTOMERS, describe_filters, list_options, read_filters
from serving.desk.pages.today import TIERS, read_names
from serving.desk.visit import Form, InvalidRequestError, Person, Visit, go_to
from serving.live import find_alert, read_live_alerts

router = APIRouter()
SNOOZE_DAYS = (1, 3, 7, 14)
PAGE = 25
CONFLICT = 409
ORDER = (Order(column="position"),)
EXPORTED = (
    "alert_id", "as_of", "customer_id", "level", "score", "money_at_risk", "owner", "respond_within_hours", "why_en",
    "why_zh",
)  # fmt: skip


@router.get("/alerts")
def list_alerts(visit: Person) -> Response:
    """Show the alerts of a state, the most urgent first."""
    visit.require("alerts")
    return show_alerts(visit)


def show_alerts(visit: Visit, *, message: str | None = None, status: int = 200) -> Response:
    """Return the page; `message` is what went wrong with an answer."""
    state = _read_state(visit)
    question, after = _ask_alerts(visit, state), visit.read_key(ORDER)
    rows = visit.ask(replace(question, after=after, limit=PAGE + 1))
    money = Measure(function="sum", name="money", column="money_at_risk")
    live = [] if after or question.among else read_live_alerts(visit, question.where[0].value, limit=PAGE)
    live = [row for row in live if all(visit.parameter(name) in {None, row.get(name)} for name in ("level", "owner"))]
    shown = [row["alert_id"] for row in (*live, *rows[:PAGE])]
    return visit.render(
        "alerts.html",
        status=status,
        message=message,
        live=live,
        rows=rows[:PAGE],
        states=visit.desk.store.alerts.states(shown),
        deadlines=read_deadlines(visit, visit.desk.store.alerts, shown),
        totals=visit.count("alerts", *question.where, among=question.among, money=money),
        options={"state": STATES, "level": TIERS, "owner": visit.desk.store.alerts.read_load()},
        of_customers=list_options(visit, OF_CUSTOMERS),
        strategies=read_names(visit, "strategies", "strategy_id"),
        state=state,
        next=visit.link(after=f"[{rows[PAGE - 1]['position']}]") if len(rows) > PAGE else None,
        is_first=not after,
        snooze_days=SNOOZE_DAYS,
        feedback=FEEDBACK,
    )


@router.get("/alerts.csv")
def export(visit: Person) -> Response:
    """Send the alerts of a state that meet the filters, with the columns that the role sees."""
    visit.require("alerts")
    visit.require("export")
    state = _read_state(visit)
    question = _ask_alerts(visit, state)
    filters = describe_filters((*question.where[1:], *question.among))
    return send_answer(visit, "alerts", EXPORTED, question, detail=f"alerts, {state}: {filters}")


def _read_state(visit: Visit) -> str:
    state = visit.parameter("state") or "open"
    if state not in STATES:
        raise InvalidRequestError("There is no such state of an alert.")
    return state


def _ask_alerts(visit: Visit, state: str) -> Question:
    """Return the question for the alerts of a state by the filters of the address, without a page."""
    ids = visit.desk.store.alerts.find(state, at=visit.now, owner=visit.parameter("owner"))
    where = [Condition(column="alert_id", comparison="in", value=ids)]
    if (level := visit.parameter("level")) is not None:
        where.append(Condition(column="level", comparison="=", value=level))
    return Question(relation="alerts", where=tuple(where), among=read_filters(visit, OF_CUSTOMERS), order=ORDER)


@router.post("/alerts/{alert_id}/{action}")
def answer(visit: Person, alert_id: str, action: str, form: Form) -> Response:
    """Take an alert on, put it off, hand it over or close it."""
    visit.require("answer")
    alert = find_alert(visit, alert_id)
    given = read_answer(visit, action, form)
    # who handed over may see the customer no more
    back = "/alerts" if action == "hand_over" else form.get("back", "/alerts")
    return answer_or_report(visit, visit.desk.store.alerts, alert_id, given, alert["customer_id"]) or go_to(back)


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
    days, owner, step, feedback = (form.get(name, "") for name in ("days", "owner", "step", "feedback"))
    is_whole = {
        "acknowledge": True,
        "snooze": days in {str(each) for each in SNOOZE_DAYS},
        "hand_over": owner in visit.desk.policy.owners,
        "step": bool(step),
        "close": feedback in FEEDBACK,
    }
    if not is_whole.get(action, False):
        raise InvalidRequestError("There is no such answer.")
    until = visit.now + timedelta(days=int(days)) if action == "snooze" else None
    return Answer(action=action, until=until, owner=owner, step=step, feedback=feedback, note=form.get("note", ""))
