"""The plan of the day, what limits it, what differs from the one before, and its approval."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from retention.store.plan_approvals import AlreadyDecidedError
from serving.api.caller import Program
from serving.api.idempotency import ConflictError, IdempotencyKey, write_once
from serving.api.listing import Listed, Page, answer, answer_page
from serving.api.resources import PLAN, PLAN_CHANGES, PRICES
from serving.plans import decide_plan, read_approval

router = APIRouter(tags=["plan"])


class Waiting(BaseModel):
    """A plan of an earlier day that waits."""

    as_of: date
    count_waiting: int


class Approval(BaseModel):
    """Whether plans need an approval, and what was decided about the published one; null before."""

    as_of: date
    is_required: bool
    is_approved: bool | None
    decided_by: str | None
    decided_at: datetime | None
    count_waiting: Annotated[int, Field(description="Messages of this plan that wait for it.")]
    earlier: list[Waiting]


class Decision(BaseModel):
    """The plan of a day is approved, or refused: then none of its messages leaves."""

    model_config = ConfigDict(extra="forbid")

    as_of: date
    is_approved: bool


class Decided(BaseModel):
    """What was decided, and about how many messages."""

    as_of: date
    is_approved: bool
    count_messages: int


@router.get("/plan", response_model=Page)
def list_plan(program: Program, listing: Listed) -> Response:
    """Return a page of the plan, a row per customer."""
    return answer_page(program, PLAN, listing)


@router.get("/plan/prices", response_model=Page)
def list_prices(program: Program, listing: Listed) -> Response:
    """Return what one more unit of every limit would bring."""
    return answer_page(program, PRICES, listing)


@router.get("/plan/changes", response_model=Page)
def list_changes(program: Program, listing: Listed) -> Response:
    """Return a page of the customers whom this plan or the one before it contacts, and what became of them."""
    return answer_page(program, PLAN_CHANGES, listing)


@router.get("/plan/approval", response_model=Approval)
def show_approval(program: Program) -> Response:
    """Return whether the plan waits for an approval, and who gave it."""
    return answer(program, read_approval(program))


@router.post("/plan/approval", response_model=Decided)
def decide(program: Program, body: Decision, idempotency_key: IdempotencyKey) -> Response:
    """Approve or refuse a plan that waits; it stands in the audit log."""
    program.require("approve")

    def act() -> dict[str, Any]:
        try:
            decided = decide_plan(program, body.as_of, is_approved=body.is_approved)
        except AlreadyDecidedError as error:
            raise ConflictError(str(error)) from None
        return {**decided, "as_of": body.as_of.isoformat()}

    return answer(program, write_once(program, idempotency_key, body, act))
