"""Alerts: the list with their states, and the answers."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.access import Condition
from serving.answers import Answer
from serving.api.answering import Assign, Close, Note, answer_once
from serving.api.caller import Caller, Program
from serving.api.idempotency import IdempotencyKey
from serving.api.listing import Listing, Page, Row, answer, answer_page
from serving.api.resources import ALERTS
from serving.live import MOST_LIVE, find_alert, meets, read_live_alerts

router = APIRouter(tags=["alerts"])
AlertId = Annotated[str, Path(max_length=64)]
CHANGING = ("state", "due_at", "acknowledged_by", "closed_by", "feedback", "snoozed_until")


class AlertListing(Listing):
    """One page of the alerts of a state."""

    state: Literal["open", "overdue", "acknowledged", "snoozed", "closed"] = "open"


class AlertPage(Page):
    """A page of published alerts; the first has those too that the event lane raised since, the newest first."""

    live: list[Row] = Field(default_factory=list)


class Snooze(BaseModel):
    """Until when an alert is put off."""

    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime
    note: Note = ""


class Step(BaseModel):
    """Which step of the response is done."""

    model_config = ConfigDict(extra="forbid")

    step: Annotated[str, Field(min_length=1, max_length=100)]
    note: Note = ""


class Answered(BaseModel):
    """The state of an alert before and after."""

    alert_id: str
    before: str
    after: str


@router.get("/alerts", response_model=AlertPage)
def list_alerts(program: Program, listing: Annotated[AlertListing, Query()]) -> Response:
    """Return a page of the alerts of a state, and with the first page the `live` ones that no publication has yet."""
    program.require("alerts")
    alerts = program.desk.store.alerts
    ids = alerts.find(listing.state, at=program.now)

    def add_states(rows: list[dict[str, Any]]) -> None:
        states = alerts.states([row["alert_id"] for row in rows if "alert_id" in row])
        for row in rows:
            row |= {name: states[row["alert_id"]][name] for name in CHANGING if row.get("alert_id") in states}

    def find_live(conditions: tuple[Condition, ...]) -> dict[str, Any]:
        rows = [row for row in read_live_alerts(program, ids, limit=MOST_LIVE) if meets(row, conditions)]
        add_states(rows)
        return {"live": rows[: listing.limit]}

    narrow = (Condition(column="alert_id", comparison="in", value=ids),)
    return answer_page(program, ALERTS, listing, narrow=narrow, extend=add_states, begin=find_live)


@router.post("/alerts/{alert_id}/acknowledge", response_model=Answered)
def acknowledge(program: Program, alert_id: AlertId, idempotency_key: IdempotencyKey) -> Response:
    """Take an open alert on."""
    return _answer(program, alert_id, Answer(action="acknowledge"), None, idempotency_key)


@router.post("/alerts/{alert_id}/snooze", response_model=Answered)
def snooze(program: Program, alert_id: AlertId, body: Snooze, idempotency_key: IdempotencyKey) -> Response:
    """Put an unfinished alert off."""
    given = Answer(action="snooze", until=body.until, note=body.note)
    return _answer(program, alert_id, given, body, idempotency_key)


@router.post("/alerts/{alert_id}/assign", response_model=Answered)
def assign(program: Program, alert_id: AlertId, body: Assign, idempotency_key: IdempotencyKey) -> Response:
    """Give an unfinished alert, and its customer with it, to another owner."""
    return _answer(program, alert_id, body.read(program.desk.policy), body, idempotency_key)


@router.post("/alerts/{alert_id}/step", response_model=Answered)
def finish_step(program: Program, alert_id: AlertId, body: Step, idempotency_key: IdempotencyKey) -> Response:
    """Record that a step of the response to an alert that was taken on is done."""
    given = Answer(action="step", step=body.step, note=body.note)
    return _answer(program, alert_id, given, body, idempotency_key)


@router.post("/alerts/{alert_id}/close", response_model=Answered)
def close(program: Program, alert_id: AlertId, body: Close, idempotency_key: IdempotencyKey) -> Response:
    """Close an unfinished alert with feedback."""
    return _answer(program, alert_id, body.read(), body, idempotency_key)


def _answer(program: Caller, alert_id: str, given: Answer, body: BaseModel | None, idempotency_key: str) -> Response:
    """Answer an alert once, for somebody who may answer it and sees it."""
    program.require("answer")
    alert = find_alert(program, alert_id)
    moved = answer_once(
        program, program.desk.store.alerts, alert_id, given, body=body, idempotency_key=idempotency_key,
        customer_id=alert.get("customer_id"),
    )  # fmt: skip
    return answer(program, {"alert_id": alert_id, **moved})
