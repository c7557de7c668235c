"""Strategies: how each is set, whom it covers, what came of it, and how to change it within its bounds."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Measure, Order, Question
from serving.desk.files import send_rows
from serving.desk.filters import (
    ALL,
    COUNT,
    OF_CUSTOMERS,
    PERIODS,
    list_options,
    list_values,
    read_filters,
    read_period,
)
from serving.desk.pages.today import read_names
from serving.desk.visit import Form, InvalidRequestError, NotFoundError, Person, Visit, go_to
from serving.strategies import change_strategy, list_settings

router = APIRouter()
# the columns of a period's results by the names that a look at a strategy has
OF_PERIOD = {
    "n_treated": "known_treated", "n_holdout": "known_holdout", "difference": "retained_difference",
    "difference_low": "retained_low", "difference_high": "retained_high", "period_start": "period_start",
}  # fmt: skip
COST = Measure(function="sum", name="cost", column="cost")
EXPORTED = (
    "strategy_id", "name_en", "name_zh", "customer_id", "channel", "is_paused", "strength", "valid_days", "cost",
    "treated", "holdout", "planned_cost", "effect", "effect_low", "effect_high", "effect_basis", "n_treated",
    "n_holdout", "difference", "difference_low", "difference_high", "verdict", "period_start",
)  # fmt: skip


@router.get("/strategies")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("strategies")
    return visit.render(
        "strategies.html",
        rows=_list_rows(visit),
        periods=PERIODS,
        period=read_period(visit),
        groups=list_values(visit, "periods", "effect_group", without=ALL),
        options=list_options(visit, OF_CUSTOMERS),
        names=read_names(visit, "strategies", "strategy_id"),
    )


@router.get("/strategies.csv")
def export(visit: Person) -> Response:
    """Send the table as CSV."""
    visit.require("strategies")
    visit.require("export")
    rows = _list_rows(visit)
    return send_rows(visit, "strategies", EXPORTED, rows, detail=f"{len(rows)} strategies")


@router.post("/strategies/{strategy_id}")
def change(visit: Person, strategy_id: str, form: Form) -> Response:
    """Pause, resume or set a strategy; the next plan goes by it, and it stands in the audit log."""
    visit.require("change")
    if strategy_id not in {strategy.id for strategy in visit.desk.strategies}:
        raise NotFoundError
    paused = {"pause": True, "resume": False}.get(form.get("change", ""))
    strength = None if paused is not None else _read_number(form.get("strength", ""))
    change_strategy(visit, strategy_id, is_paused=paused, strength=strength, reason=form.get("reason", ""))
    return go_to("/strategies")


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequestError("The strength is a number.") from None


def _list_rows(visit: Visit) -> list[dict[str, Any]]:
    """Return the strategies as they are set, with whom the plan covers and what was measured, the widest first.

    Of a day, week, month or group what was measured is its difference, which has no verdict.
    """
    one, covered, measured = visit.parameter("strategy_id"), _count_covered(visit), _read_measured(visit)
    rows = [
        {
            **dict.fromkeys(EXPORTED),
            **row,
            **covered.get(row["strategy_id"], {}),
            **measured.get(row["strategy_id"], {}),
        }
        for row in list_settings(visit)
        if one in {None, row["strategy_id"]}
    ]
    return sorted(rows, key=lambda row: (-(row["treated"] or 0), row["strategy_id"]))


def _read_measured(visit: Visit) -> dict[str, dict[str, Any]]:
    """Return by strategy the latest look at it, or the newest results of a period and group of the address."""
    period, group = read_period(visit), visit.parameter("effect_group")
    if period is None and group is None:
        looks = visit.ask(Question(relation="strategy_effects"))
        return {row["strategy_id"]: row for row in looks if row.get("is_latest", True)}
    given = {"period": period or "month", "effect_group": group or ALL}
    where = tuple(Condition(column=name, comparison="=", value=value) for name, value in given.items())
    rows = visit.ask(Question(relation="periods", where=where, order=(Order(column="period_start"),)))
    return {row["strategy_id"]: {name: row[of] for name, of in OF_PERIOD.items()} for row in rows}


def _count_covered(visit: Visit) -> dict[str, dict[str, Any]]:
    among = read_filters(visit, OF_CUSTOMERS)
    by_arm = Question(relation="plans", columns=("strategy_id", "arm"), among=among, measures=(COUNT, COST))
    covered: dict[str, dict[str, Any]] = {}
    for row in visit.ask(by_arm):
        if row["arm"] in {"treated", "holdout"}:
            one = covered.setdefault(row["strategy_id"], {"treated": 0, "holdout": 0})
            one[row["arm"]] = row["count"]
            one |= {"planned_cost": row["cost"]} if row["arm"] == "treated" else {}
    return covered
