"""Tasks: what waits to be done with alerts, the answer and the steps of the response, by who does it until when."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from retention.acting.clock import ACKNOWLEDGED, RUNG
from retention.store.answers import OPEN
from serving.access import Condition
from serving.api.caller import Program
from serving.api.listing import Listing, Page, answer_page
from serving.api.resources import ALERTS
from serving.deadlines import read_deadlines

router = APIRouter(tags=["tasks"])
FROM_ALERT = ("alert_id", "customer_id", "level", "money_at_risk")


class TaskListing(Listing):
    """A page of tasks; a page is that of the alerts whose tasks they are."""

    owner: Annotated[str | None, Field(max_length=200, description="Only those of an owner.")] = None


@router.get("/tasks", response_model=Page)
def list_tasks(program: Program, listing: Annotated[TaskListing, Query()]) -> Response:
    """Return what is to be done with unfinished alerts, the most urgent alert first."""
    program.require("alerts")
    alerts = program.desk.store.alerts
    ids = [alert_id for state in (OPEN, ACKNOWLEDGED) for alert_id in alerts.find(state, at=program.now)]

    def make_tasks(rows: list[dict[str, Any]]) -> None:
        deadlines = read_deadlines(program, alerts, [row["alert_id"] for row in rows if "alert_id" in row])
        rows[:] = [
            {**{name: row[name] for name in FROM_ALERT if name in row}, **task}
            for row in rows
            for task in deadlines.get(row.get("alert_id", ""), [])
            if _waits(task) and listing.owner in {None, task["owner"]}
        ]
        for row in rows:
            del row["number"], row["ended_at"]

    narrow = (Condition(column="alert_id", comparison="in", value=ids),)
    return answer_page(program, ALERTS, listing, narrow=narrow, extend=make_tasks)


def _waits(task: dict[str, Any]) -> bool:
    """Return whether a deadline is something to do that has begun and not ended; a rung is only a notice."""
    return task["kind"] != RUNG and task["due_at"] is not None and task["ended_at"] is None
