"""The plan of the day and what limits it."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.api.caller import Program
from serving.api.listing import Listed, Page, answer_page
from serving.api.resources import PLAN, PRICES

router = APIRouter(tags=["plan"])


@router.get("/plan", response_model=Page)
def list_plan(program: Program, listing: Listed) -> Response:
    """Return a page of the plan, a row per customer."""
    return answer_page(program, PLAN, listing)


@router.get("/plan/prices", response_model=Page)
def list_prices(program: Program, listing: Listed) -> Response:
    """Return what one more unit of every limit would bring."""
    return answer_page(program, PRICES, listing)
