"""Model and data health: accuracy next to its baselines, drift, gates, rows left out, and where to look further."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Order, Question
from serving.desk.visit import Person

router = APIRouter()
NEWEST = Order(column="as_of", descending=True)
MONTHS = 12


@router.get("/health")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("health")

    def read(relation: str, *order: Order, limit: int | None = None) -> list[dict[str, object]]:
        return visit.ask(Question(relation=relation, order=order, limit=limit))

    return visit.render(
        "health.html",
        performance=read("performance", NEWEST, limit=MONTHS),
        drift=read("drift", NEWEST, limit=MONTHS),
        gates=read("gate_verdicts", Order(column="judged_at")),
        reconciliation=read("reconciliation", Order(column="source"), Order(column="table_name")),
        lane=visit.desk.store.lane.read(),
        silent_after=visit.desk.policy.lane.silent_after_seconds,
        links=visit.desk.links,
    )
