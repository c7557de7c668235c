"""What the scoring means for one customer, in words for themselves: the notice, the reasons, the decision."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.desk.pages.today import read_names
from serving.desk.visit import Person

router = APIRouter()


@router.get("/explanation/{customer_id:path}")
def show(visit: Person, customer_id: str) -> Response:
    """Show the explanation; that it was made stands in the audit log."""
    visit.require("customer")
    row = visit.find("customers", "customer_id", customer_id)
    visit.record_view(customer_id, detail="explanation")
    return visit.render(
        "explanation.html",
        row=row,
        about=visit.about,
        reasons=visit.ask_of(customer_id, "reasons", by="rank"),
        plan=next(iter(visit.ask_of(customer_id, "plans")), None),
        strategies=read_names(visit, "strategies", "strategy_id"),
        decision_reasons=read_names(visit, "decision_reasons", "decision_reason"),
    )
