"""Incidents: rates that rose in a group of customers, their likely cause, and who takes them on."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.alerts import FEEDBACK
from serving.access import Condition, Order, Question
from serving.desk.visit import Form, InvalidRequestError, NotFoundError, Person, Visit, go_to

router = APIRouter()
ORDER = (Order(column="position"),)
MOST = 100
CONFLICT = 409


@router.get("/incidents")
def list_incidents(visit: Person) -> Response:
    """Show the incidents of the published days, the newest first."""
    visit.require("incidents")
    rows = visit.ask(Question(relation="incidents", order=ORDER, limit=MOST))
    return visit.render("incidents.html", rows=rows, states=_read_states(visit), feedback=FEEDBACK)


@router.post("/incidents/{incident_id}/{answer}")
def answer(visit: Person, incident_id: str, answer: str, form: Form) -> Response:
    """Take an incident on or close it; it stands in the audit log, before and after."""
    visit.require("incidents")
    visit.require("answer")
    states = _read_states(visit)
    is_it = Condition(column="incident_id", comparison="=", value=incident_id)
    if incident_id not in states or not visit.ask(Question(relation="incidents", where=(is_it,), limit=1)):
        raise NotFoundError
    try:
        detail = _apply(visit, incident_id, answer, form)
    except ValueError:
        message = visit.words.text("error.changed")
        return visit.render("error.html", status=CONFLICT, message=message, fix="")
    visit.record(answer, subject=incident_id, detail=f"{states[incident_id]['state']} -> {detail}")
    return go_to("/incidents")


def _read_states(visit: Visit) -> dict[str, Any]:
    incidents = visit.desk.store.incidents
    rows = [*incidents.find(), *incidents.find(state="closed")]
    return {row["incident_id"]: row for row in rows}


def _apply(visit: Visit, incident_id: str, answer: str, form: dict[str, str]) -> str:
    """Write the answer and return what became of the incident. Raises ValueError when it has moved on."""
    incidents, by, at = visit.desk.store.incidents, visit.user.name, visit.now
    if answer == "acknowledge":
        incidents.acknowledge(incident_id, by=by, at=at)
        return "acknowledged"
    if answer == "close" and form.get("feedback") in FEEDBACK:
        incidents.close(incident_id, by=by, at=at, feedback=form["feedback"], note=form.get("note", ""))
        return f"closed, {form['feedback']}"
    raise InvalidRequestError("There is no such answer to an incident.")
