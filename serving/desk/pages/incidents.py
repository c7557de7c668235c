"""Incidents: rates that rose in a group of customers, their likely cause, and who takes them on."""

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.answers import FEEDBACK
from serving.access import Order, Question
from serving.deadlines import read_deadlines
from serving.desk.pages.alerts import answer_or_report, read_answer
from serving.desk.visit import Form, Person, go_to

router = APIRouter()
ORDER = (Order(column="position"),)
MOST = 100


@router.get("/incidents")
def list_incidents(visit: Person) -> Response:
    """Show the incidents of the published days, the newest first."""
    visit.require("incidents")
    rows = visit.ask(Question(relation="incidents", order=ORDER, limit=MOST))
    ids, incidents = [row["incident_id"] for row in rows], visit.desk.store.incidents
    deadlines = read_deadlines(visit, incidents, ids)
    return visit.render(
        "incidents.html", rows=rows, states=incidents.states(ids), deadlines=deadlines, feedback=FEEDBACK
    )


@router.post("/incidents/{incident_id}/{action}")
def answer(visit: Person, incident_id: str, action: str, form: Form) -> Response:
    """Take an incident on, hand it over or close it."""
    visit.require("incidents")
    visit.require("answer")
    visit.find("incidents", "incident_id", incident_id)
    given = read_answer(visit, action, form)
    return answer_or_report(visit, visit.desk.store.incidents, incident_id, given) or go_to("/incidents")
