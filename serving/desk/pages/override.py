"""What a person decides about one customer; the next plan goes by it."""

from datetime import date

from fastapi import APIRouter
from fastapi.responses import Response

from retention.deciding.plan_overrides import KINDS
from serving.desk.visit import Form, InvalidRequestError, Person, go_to
from serving.overrides import override_plan

router = APIRouter()


@router.post("/override/{customer_id:path}")
def override(visit: Person, customer_id: str, form: Form) -> Response:
    """Record a decision and go back to the customer; it stands in the audit log, before and after."""
    visit.require("override")
    visit.find("customers", "customer_id", customer_id)
    kind = next((each for each in KINDS if each == form.get("kind")), None)
    if kind is None:
        raise InvalidRequestError("There is no such decision.")
    override_plan(
        visit,
        customer_id=customer_id,
        kind=kind,
        strategy_id=(form.get("strategy_id") or None) if kind == "strategy" else None,
        until=_read_day(form.get("until", "")) if kind == "nothing_until" else None,
        reason=form.get("reason", ""),
    )
    return go_to(form.get("back", "/customers"))


def _read_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidRequestError("A day is written as 2024-12-31.") from None
