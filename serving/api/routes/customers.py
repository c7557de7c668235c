"""Customers: the list, one from all sides, their scores, reasons and actions, and what a person decides about them."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from retention.deciding.plan_overrides import Kind
from serving.api.caller import Caller, Program
from serving.api.idempotency import IdempotencyKey, write_once
from serving.api.listing import Listed, Page, Row, answer, answer_fresh, answer_page
from serving.api.resources import CUSTOMERS
from serving.overrides import override_plan, read_override

router = APIRouter(tags=["customers"])
CustomerId = Annotated[str, Path(max_length=200)]


class Customer(BaseModel):
    """One customer from all sides: the 360 row, reasons, forecasts, the row of the plan, and what a person decided."""

    customer: Row
    reasons: list[Row]
    forecasts: list[Row]
    next_purchase: Row | None
    plan: Row | None
    override: Row | None


class History(BaseModel):
    """Rows of one customer."""

    data: list[Row]


class Actions(BaseModel):
    """What is done with a customer: the plan's row, alerts with their state, what people did, and their decision."""

    plan: Row | None
    alerts: list[Row]
    events: list[Row]
    override: Row | None


class Override(BaseModel):
    """A decision about one customer: never_contact, nothing_until a day, one strategy, or lifted."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    strategy_id: Annotated[str | None, Field(max_length=100)] = None
    until: date | None = None
    reason: Annotated[str, Field(min_length=1, max_length=400, description="Why; write no personal data.")]


class Overridden(BaseModel):
    """What held before, and what holds from the next plan on."""

    customer_id: str
    before: str
    after: str


@router.get("/customers", response_model=Page)
def list_customers(program: Program, listing: Listed) -> Response:
    """Return a page of customers."""
    return answer_page(program, CUSTOMERS, listing)


@router.get("/customers/{customer_id:path}/scores", response_model=History)
def list_scores(program: Program, customer_id: CustomerId) -> Response:
    """Return the scores of a customer, the oldest first."""
    _open(program, customer_id)
    return answer_fresh(program, lambda: {"data": program.ask_of(customer_id, "scores", by="as_of")})


@router.get("/customers/{customer_id:path}/reasons", response_model=History)
def list_reasons(program: Program, customer_id: CustomerId) -> Response:
    """Return the reasons of today's score, the strongest first."""
    _open(program, customer_id)
    return answer_fresh(program, lambda: {"data": program.ask_of(customer_id, "reasons", by="rank")})


@router.get("/customers/{customer_id:path}/actions", response_model=Actions)
def list_actions(program: Program, customer_id: CustomerId) -> Response:
    """Return what is done with a customer."""
    _open(program, customer_id)
    raised = program.ask_of(customer_id, "alerts", by="as_of", is_descending=True)
    alerts = program.desk.store.alerts
    states = alerts.states([row["alert_id"] for row in raised])
    body = {
        "plan": _find_one(program, customer_id, "plans"),
        "alerts": [{**row, **states[row["alert_id"]]} for row in raised if row["alert_id"] in states],
        "events": [dict(event) for event in alerts.read_events(list(states))],
        "override": _read_override(program, customer_id),
    }
    return answer(program, body)


@router.post("/customers/{customer_id:path}/override", response_model=Overridden)
def override(program: Program, customer_id: CustomerId, body: Override, idempotency_key: IdempotencyKey) -> Response:
    """Decide about a customer; the next plan goes by it, and it stands in the audit log with what held before."""
    program.require("override")
    _find(program, customer_id)

    def act() -> dict[str, Any]:
        values = body.model_dump(exclude={"reason"})
        before, after = override_plan(program, customer_id=customer_id, reason=body.reason, **values)
        return {"customer_id": customer_id, "before": before, "after": after}

    return answer(program, write_once(program, idempotency_key, body, act))


@router.get("/customers/{customer_id:path}", response_model=Customer)
def show_customer(program: Program, customer_id: CustomerId) -> Response:
    """Return one customer from all sides; that they were looked at stands in the audit log."""
    program.require("customer")
    row = program.find("customers", "customer_id", customer_id)
    program.record_view(customer_id)
    body = {
        "customer": row,
        "reasons": program.ask_of(customer_id, "reasons", by="rank"),
        "forecasts": program.ask_of(customer_id, "forecasts", by="horizon_months"),
        "next_purchase": _find_one(program, customer_id, "next_purchases"),
        "plan": _find_one(program, customer_id, "plans"),
        "override": _read_override(program, customer_id),
    }
    return answer(program, body)


def _find(program: Caller, customer_id: str) -> None:
    """Refuse a role that opens no customer, and a customer who is not among its own."""
    program.require("customer")
    program.find("customers", "customer_id", customer_id, columns=("position",))


def _open(program: Caller, customer_id: str) -> None:
    """Let the audit log have that a customer was looked at who is among the key's own."""
    _find(program, customer_id)
    program.record_view(customer_id)


def _find_one(program: Caller, customer_id: str, relation: str) -> dict[str, Any] | None:
    return next(iter(program.ask_of(customer_id, relation)), None)


def _read_override(program: Caller, customer_id: str) -> dict[str, Any] | None:
    holding = read_override(program, customer_id)
    return None if holding is None else {name: value for name, value in vars(holding).items() if name != "number"}
