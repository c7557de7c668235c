"""Incidents: rates that rose in a group of customers, their likely cause, and who takes them on."""

from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.answers import FEEDBACK
from serving.access import Order, Question
from serving.deadlines import read_deadlines
from serving.desk.files import send_answer
from serving.desk.filters import describe_filters, list_values, read_filters
from serving.desk.pages.alerts import answer_or_report, read_answer
from serving.desk.visit import Form, Person, Visit, go_to

router = APIRouter()
ORDER = (Order(column="position"),)
MOST = 100
FILTERS = ("measure", "group_name", "grade")


@router.get("/incidents")
def list_incidents(visit: Person) -> Response:
    """Show the incidents of the published days, the newest first."""
    visit.require("incidents")
    rows = visit.ask(replace(_ask(visit), limit=MOST))
    ids, incidents = [row["incident_id"] for row in rows], visit.desk.store.incidents
    deadlines = read_deadlines(visit, incidents, ids)
    return visit.render(
        "incidents.html",
        rows=rows,
        states=incidents.states(ids),
        deadlines=deadlines,
        feedback=FEEDBACK,
        options={name: list_values(visit, "incidents", name) for name in FILTERS},
    )


@router.get("/incidents.csv")
def export(visit: Person) -> Response:
    """Send the incidents that meet the filters."""
    visit.require("incidents")
    visit.require("export")
    question = _ask(visit)
    return send_answer(
        visit, "incidents", visit.desk.snapshot.types("incidents"), question,
        detail=f"incidents: {describe_filters(question.where)}",
    )  # fmt: skip


def _ask(visit: Visit) -> Question:
    return Question(relation="incidents", where=read_filters(visit, FILTERS), order=ORDER)


@router.post("/incidents/{incident_id}/{action}")
def answer(visit: Person, incident_id: str, action: str, form: Form) -> Response:
    """Take an incident on, hand it over or close it."""
    visit.require("incidents")
    visit.require("answer")
    visit.find("incidents", "incident_id", incident_id)
    given = read_answer(visit, action, form)
    return answer_or_report(visit, visit.desk.store.incidents, incident_id, given) or go_to("/incidents")
