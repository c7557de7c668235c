"""What is known of every strategy: its verdict, the looks so far, own campaigns that reached its arms, its versions."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Order, Question
from serving.desk.charts import LineChart, draw_lines
from serving.desk.files import send_rows
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
    looks = _read(visit, "strategy_effects", of_one, order=BY_DAY)
    return visit.render(
        "experiments.html",
        latest=_read(visit, "strategy_effects", Condition(column="is_latest", comparison="=", value=True)),
        looks=looks,
        chart=_draw_looks(visit, looks),
        reached=_read(visit, "contamination", of_one, order=(Order(column="arm"),)),
        versions=_read(visit, "version_effects", of_one, order=BY_DAY),
        strategy_id=strategy_id,
        names=read_names(visit, "strategies", "strategy_id") | {ALL: visit.words.text("experiments.all")},
    )


@router.get("/experiments.csv")
def export(visit: Person) -> Response:
    """Send every look at every strategy."""
    visit.require("strategies")
    visit.require("export")
    rows = visit.ask(Question(relation="strategy_effects", order=(Order(column="strategy_id"), *BY_DAY)))
    return send_rows(visit, "looks", list(rows[0]) if rows else [], rows, detail=f"{len(rows)} looks at strategies")


def _draw_looks(visit: Visit, looks: list[dict[str, Any]]) -> LineChart | None:
    """Return the difference in points by look, within the band that holds on all days at once."""
    name = visit.words.text("experiments.difference")
    points = [(row["looked_on"], _points(row["difference"])) for row in looks]
    band = [(row["looked_on"], _points(row.get("band_low")), _points(row.get("band_high"))) for row in looks]
    return draw_lines({name: points}, bands={name: band})


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _read(
    visit: Visit, relation: str, where: Condition, *, order: tuple[Order, ...] = (Order(column="strategy_id"),)
) -> list[dict[str, Any]]:
    return visit.ask(Question(relation=relation, where=(where,), order=order))
