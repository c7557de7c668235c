"""Incidents: the list with their states, and the answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel

from serving.answers import Answer
from serving.api.answering import Assign, Close, answer_once
from serving.api.caller import Program
from serving.api.idempotency import IdempotencyKey
from serving.api.listing import Listed, Page, answer, answer_page
from serving.api.resources import INCIDENTS

router = APIRouter(tags=["incidents"])
IncidentId = Annotated[str, Path(max_length=64)]
CHANGING = ("state", "due_at", "owner", "acknowledged_by", "closed_by", "feedback")


class Answered(BaseModel):
    """The state of an incident before and after."""

    incident_id: str
    before: str
    after: str


@router.get("/incidents", response_model=Page)
def list_incidents(program: Program, listing: Listed) -> Response:
    """Return a page of the incidents of the published days, the newest first, with what became of each."""

    def add_states(rows: list[dict[str, Any]]) -> None:
        states = program.desk.store.incidents.states([row["incident_id"] for row in rows if "incident_id" in row])
        for row in rows:
            row |= {name: states[row["incident_id"]][name] for name in CHANGING if row.get("incident_id") in states}

    return answer_page(program, INCIDENTS, listing, extend=add_states)


@router.post("/incidents/{incident_id}/acknowledge", response_model=Answered)
def acknowledge(program: Program, incident_id: IncidentId, idempotency_key: IdempotencyKey) -> Response:
    """Take an open incident on."""
    return _answer(program, incident_id, Answer(action="acknowledge"), None, idempotency_key)


@router.post("/incidents/{incident_id}/assign", response_model=Answered)
def assign(program: Program, incident_id: IncidentId, body: Assign, idempotency_key: IdempotencyKey) -> Response:
    """Give an unfinished incident to another owner."""
    given = body.read(program.desk.policy)
    return _answer(program, incident_id, given, body, idempotency_key)


@router.post("/incidents/{incident_id}/close", response_model=Answered)
def close(program: Program, incident_id: IncidentId, body: Close, idempotency_key: IdempotencyKey) -> Response:
    """Close an unfinished incident with feedback."""
    return _answer(program, incident_id, body.read(), body, idempotency_key)


def _answer(
    program: Program, incident_id: str, given: Answer, body: BaseModel | None, idempotency_key: str
) -> Response:
    program.require("incidents")
    program.require("answer")
    program.find("incidents", "incident_id", incident_id)
    incidents = program.desk.store.incidents
    moved = answer_once(program, incidents, incident_id, given, body=body, idempotency_key=idempotency_key)
    return answer(program, {"incident_id": incident_id, **moved})
