"""Whether scores mean the same for every group of customers: predicted next to observed churn, and who is contacted."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Order, Question
from serving.desk.visit import Person

router = APIRouter()
BY_GROUP = (
    Order(column="is_protected", descending=True),
    Order(column="group_of"),
    Order(column="group_value"),
)


@router.get("/fairness")
def show(visit: Person) -> Response:
    """Show the figures of the latest training."""
    visit.require("health")
    rows = visit.ask(Question(relation="fairness", order=BY_GROUP))
    fairness = visit.desk.policy.fairness
    protected = [visit.words.word("field", column) for column in fairness.protected]
    return visit.render("fairness.html", rows=rows, fairness=fairness, protected=protected)
