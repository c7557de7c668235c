"""What the scoring means for one customer, in words for themselves: the notice, the reasons, the decision."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Order, Question
from serving.desk.pages.today import read_names
from serving.desk.visit import Person

router = APIRouter()


@router.get("/explanation/{customer_id:path}")
def show(visit: Person, customer_id: str) -> Response:
    """Show the explanation; that it was made stands in the audit log."""
    visit.require("customer")
    is_it = Condition(column="customer_id", comparison="=", value=customer_id)
    row = visit.find("customers", "customer_id", customer_id)
    visit.record("view", customer_id=customer_id, detail="explanation")
    plans = visit.ask(Question(relation="plans", where=(is_it,), limit=1))
    return visit.render(
        "explanation.html",
        row=row,
        about=visit.about,
        reasons=visit.ask(Question(relation="reasons", where=(is_it,), order=(Order(column="rank"),))),
        plan=plans[0] if plans else None,
        strategies=read_names(visit, "strategies", "strategy_id"),
        decision_reasons=read_names(visit, "decision_reasons", "decision_reason"),
    )
