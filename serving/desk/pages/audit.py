"""The audit log, newest first."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.desk.visit import InvalidRequestError, Person

router = APIRouter()
PAGE = 100


@router.get("/audit")
def show(visit: Person) -> Response:
    """Show a page of entries."""
    visit.require("audit")
    before = visit.parameter("before")
    if before is not None and not before.isdecimal():
        raise InvalidRequestError("A page of the log begins before a number.")
    rows = visit.desk.audit.read(before=int(before) if before else None, limit=PAGE + 1)
    is_more = len(rows) > PAGE
    return visit.render(
        "audit.html", rows=rows[:PAGE], next=visit.link(before=rows[PAGE - 1]["number"]) if is_more else None
    )
