"""Figures of the whole company: what strategies were measured to do, and how model and data fare."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from serving.access import Question
from serving.api.caller import Program
from serving.api.listing import Row, answer_fresh

router = APIRouter(tags=["figures"])
HEALTH = {"performance": "performance", "drift": "drift", "gates": "gate_verdicts", "rows": "reconciliation"}


class Effects(BaseModel):
    """What was measured of each strategy against held-out customers, and the verdict."""

    data: list[Row]


class Health(BaseModel):
    """The model next to its baselines, drift, the gates of the day, and rows left out of what was loaded."""

    performance: list[Row]
    drift: list[Row]
    gates: list[Row]
    rows: list[Row]


@router.get("/effects", response_model=Effects)
def list_effects(program: Program) -> Response:
    """Return what came of the strategies."""
    program.require("strategies")
    return answer_fresh(program, lambda: {"data": program.ask(Question(relation="strategy_effects"))})


@router.get("/health", response_model=Health)
def show_health(program: Program) -> Response:
    """Return how model and data fare."""
    program.require("health")
    asked = {name: Question(relation=relation) for name, relation in HEALTH.items()}
    return answer_fresh(program, lambda: {name: program.ask(question) for name, question in asked.items()})
