"""What is known of every strategy: its verdict, what a verdict still takes, the looks so far, and its versions."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Order, Question
from serving.desk.pages.today import read_names
from serving.desk.visit import Person, Visit

router = APIRouter()
ALL = "all"
BY_DAY = (Order(column="looked_on"),)


@router.get("/experiments")
def show(visit: Person, strategy_id: str = ALL) -> Response:
    """Show the page, with the looks at one strategy."""
    visit.require("strategies")
    of_one = Condition(column="strategy_id", comparison="=", value=strategy_id)
    return visit.render(
        "experiments.html",
        latest=_read(visit, "strategy_effects", Condition(column="is_latest", comparison="=", value=True)),
        looks=_read(visit, "strategy_effects", of_one, order=BY_DAY),
        versions=_read(visit, "version_effects", of_one, order=BY_DAY),
        strategy_id=strategy_id,
        names=read_names(visit, "strategies", "strategy_id") | {ALL: visit.words.text("experiments.all")},
    )


def _read(
    visit: Visit, relation: str, where: Condition, *, order: tuple[Order, ...] = (Order(column="strategy_id"),)
) -> list[dict[str, Any]]:
    return visit.ask(Question(relation=relation, where=(where,), order=order))
