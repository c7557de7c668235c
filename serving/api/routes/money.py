"""Money: what retention saved, spent and lost, and the results of plans by period, strategy and group."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from serving.access import Question
from serving.api.caller import Program
from serving.api.listing import Listed, Page, Row, answer_fresh, answer_page
from serving.api.resources import PERIODS

router = APIRouter(tags=["money"])
RELATIONS = {
    "saved": "money", "attribution": "attribution", "harms": "harms", "losses": "losses", "goals": "goals",
    "churn": "churn_lines", "bridge": "churn_bridge", "survival": "survival", "cohorts": "cohorts",
}  # fmt: skip


class Money(BaseModel):
    """What was saved, by value tier and strategy; its parts, harm, losses, goals; churn; how long customers stay."""

    saved: list[Row]
    attribution: list[Row]
    harms: list[Row]
    losses: list[Row]
    goals: list[Row]
    churn: list[Row]
    bridge: list[Row]
    survival: list[Row]
    cohorts: list[Row]


@router.get("/money", response_model=Money)
def show_money(program: Program) -> Response:
    """Return what retention saved, spent and lost."""
    program.require("money")
    asked = {name: Question(relation=relation) for name, relation in RELATIONS.items()}
    return answer_fresh(program, lambda: {name: program.ask(question) for name, question in asked.items()})


@router.get("/money/periods", response_model=Page)
def list_periods(program: Program, listing: Listed) -> Response:
    """Return a page of the results of plans by day, week and month, per strategy and group, the newest first."""
    return answer_page(program, PERIODS, listing)
