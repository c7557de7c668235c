"""Alerts: the list with their states, and the answers."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.access import Condition
from serving.api.caller import Caller, Program
from serving.api.idempotency import ConflictError, IdempotencyKey, write_once
from serving.api.listing import Listing, Page, answer, answer_page
from serving.api.resources import ALERTS

router = APIRouter(tags=["alerts"])
AlertId = Annotated[str, Path(max_length=64)]
CHANGING = ("state", "due_at", "acknowledged_by", "closed_by", "feedback", "snoozed_until")


class AlertListing(Listing):
    """One page of the alerts of a state."""

    state: Literal["open", "overdue", "acknowledged", "snoozed", "closed"] = "open"


class Snooze(BaseModel):
    """Until when an alert is put off."""

    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime
    note: Annotated[str, Field(max_length=400, description="Write no personal data.")] = ""


class Close(BaseModel):
    """Whether an alert was useful."""

    model_config = ConfigDict(extra="forbid")

    feedback: Literal["useful", "wrong", "already_known"]
    note: Annotated[str, Field(max_length=400, description="Write no personal data.")] = ""


class Answered(BaseModel):
    """The state of an alert before and after."""

    alert_id: str
    before: str
    after: str


@router.get("/alerts", response_model=Page)
def list_alerts(program: Program, listing: Annotated[AlertListing, Query()]) -> Response:
    """Return a page of the alerts of a state."""
    program.require("alerts")
    alerts = program.desk.store.alerts
    ids = alerts.find(listing.state, at=program.now)

    def add_states(rows: list[dict[str, Any]]) -> None:
        states = alerts.states([row["alert_id"] for row in rows if "alert_id" in row])
        for row in rows:
            row |= {name: states[row["alert_id"]][name] for name in CHANGING if row.get("alert_id") in states}

    narrow = (Condition(column="alert_id", comparison="in", value=ids),)
    return answer_page(program, ALERTS, listing, narrow=narrow, extend=add_states)


@router.post("/alerts/{alert_id}/acknowledge", response_model=Answered)
def acknowledge(program: Program, alert_id: AlertId, idempotency_key: IdempotencyKey) -> Response:
    """Take an open alert on."""
    alerts = program.desk.store.alerts
    return _answer(
        program, alert_id=alert_id, idempotency_key=idempotency_key, body=None, action="acknowledge",
        move=lambda by, at: alerts.acknowledge(alert_id, by=by, at=at, clock=program.clock),
    )  # fmt: skip


@router.post("/alerts/{alert_id}/snooze", response_model=Answered)
def snooze(program: Program, alert_id: AlertId, body: Snooze, idempotency_key: IdempotencyKey) -> Response:
    """Put an unfinished alert off."""
    alerts = program.desk.store.alerts
    return _answer(
        program, alert_id=alert_id, idempotency_key=idempotency_key, body=body, action="snooze",
        move=lambda by, at: alerts.snooze(
            alert_id, by=by, at=at, until=body.until, note=body.note, clock=program.clock
        ),
    )  # fmt: skip


@router.post("/alerts/{alert_id}/close", response_model=Answered)
def close(program: Program, alert_id: AlertId, body: Close, idempotency_key: IdempotencyKey) -> Response:
    """Close an unfinished alert with feedback."""
    alerts = program.desk.store.alerts
    return _answer(
        program, alert_id=alert_id, idempotency_key=idempotency_key, body=body, action="close",
        move=lambda by, at: alerts.close(
            alert_id, by=by, at=at, feedback=body.feedback, note=body.note, clock=program.clock
        ),
    )  # fmt: skip


def _answer(
    program: Caller,
    *,
    alert_id: str,
    idempotency_key: str,
    body: BaseModel | None,
    action: str,
    move: Callable[[str, datetime], None],
) -> Response:
    """Move an alert once, for somebody who may answer it and sees it; before and after stand in the audit log."""
    program.require("answer")
    alert = program.find("alerts", "alert_id", alert_id)

    def act() -> dict[str, Any]:
        before = _read_state(program, alert_id)
        try:
            move(program.name, program.now)
        except ValueError as error:
            raise ConflictError(str(error)) from None
        after = _read_state(program, alert_id)
        program.record(action, customer_id=alert.get("customer_id"), subject=alert_id, detail=f"{before} -> {after}")
        return {"alert_id": alert_id, "before": before, "after": after}

    return answer(program, write_once(program, idempotency_key, body, act))


def _read_state(program: Caller, alert_id: str) -> str:
    state = program.desk.store.alerts.states([alert_id]).get(alert_id)
    if state is None:
        return "superseded"
    is_snoozed = state["snoozed_until"] is not None and state["snoozed_until"] > program.now
    return "snoozed" if is_snoozed and state["state"] != "closed" else str(state["state"])
