"""Strategies: the library as it is set today, and changes within bounds."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from serving.actor import NotFoundError
from serving.api.caller import Program
from serving.api.idempotency import IdempotencyKey, write_once
from serving.api.listing import Row, answer
from serving.strategies import change_strategy, list_settings

router = APIRouter(tags=["strategies"])


class Strategies(BaseModel):
    """Every strategy with its bounds and as it is set today, variants for single customers included."""

    data: list[Row]


class Change(BaseModel):
    """What is set otherwise; null stays as it is. Without a customer for everybody, without a campaign for good."""

    model_config = ConfigDict(extra="forbid")

    is_paused: bool | None = None
    strength: Annotated[float | None, Field(description="Factor on the amounts of the strategy's file.")] = None
    valid_days: Annotated[int | None, Field(ge=1, le=3660)] = None
    customer_id: Annotated[str | None, Field(max_length=200)] = None
    campaign: Annotated[str | None, Field(max_length=100)] = None
    holds_from: date | None = None
    holds_until: date | None = None
    reason: Annotated[str, Field(min_length=1, max_length=400, description="Why; write no personal data.")]

    @model_validator(mode="after")
    def _changes_something(self) -> "Change":
        if self.is_paused is self.strength is self.valid_days is None:
            raise ValueError("name is_paused, strength or valid_days: nothing changes")
        return self


class Changed(BaseModel):
    """The number of the change; the next plan goes by it."""

    strategy_id: str
    number: int


@router.get("/strategies", response_model=Strategies)
def list_strategies(program: Program) -> Response:
    """Return the library."""
    program.require("strategies")
    return answer(program, {"data": list_settings(program)})


@router.post("/strategies/{strategy_id}/changes", response_model=Changed)
def change(
    program: Program,
    strategy_id: Annotated[str, Path(max_length=100)],
    body: Change,
    idempotency_key: IdempotencyKey,
) -> Response:
    """Pause, resume or set a strategy within its bounds; it stands in the audit log."""
    program.require("change")
    if strategy_id not in {strategy.id for strategy in program.desk.strategies}:
        raise NotFoundError
    if body.customer_id is not None:
        program.find("customers", "customer_id", body.customer_id)

    def act() -> dict[str, Any]:
        number = change_strategy(program, strategy_id, **body.model_dump())
        return {"strategy_id": strategy_id, "number": number}

    return answer(program, write_once(program, idempotency_key, body, act))
