"""Plan and budget: what is spent on which strategy, what it should bring, and why others are not contacted."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Measure, Order, Question
from serving.desk.charts import draw_bars
from serving.desk.files import send_answer
from serving.desk.filters import COUNT, OF_CUSTOMERS, describe_filters, list_options, read_filters
from serving.desk.pages.today import read_names
from serving.desk.visit import Person, Visit

router = APIRouter()
COST = Measure(function="sum", name="cost", column="cost")
EXPECTED = Measure(function="sum", name="expected", column="expected_value")
MONEY = Measure(function="sum", name="money", column="money_at_risk")


@router.get("/plan")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("plan")
    among = read_filters(visit, OF_CUSTOMERS)
    by_arm = Question(relation="plans", columns=("arm",), among=among, measures=(COUNT, COST, EXPECTED))
    strategies, names = _list_strategies(visit, among), read_names(visit, "strategies", "strategy_id")
    return visit.render(
        "plan.html",
        arms={row["arm"]: row for row in visit.ask(by_arm)},
        all=visit.count("plans")["count"],
        among=visit.count("plans", among=among)["count"],
        options=list_options(visit, OF_CUSTOMERS),
        kept_share=_read_kept_share(visit),
        strategies=strategies,
        chart=draw_bars(
            (names.get(row["strategy_id"], row["strategy_id"]), row["expected"], None, None) for row in strategies
        ),
        reasons=_list_reasons(visit, among),
        prices=visit.ask(Question(relation="plan_prices", order=(Order(column="price", descending=True),))),
        names=names,
        decision_reasons=read_names(visit, "decision_reasons", "decision_reason"),
    )


@router.get("/plan.csv")
def export(visit: Person) -> Response:
    """Send the plan's rows, one per customer, that meet the filters."""
    visit.require("plan")
    visit.require("export")
    among = read_filters(visit, OF_CUSTOMERS)
    question = Question(relation="plans", among=among, order=(Order(column="rank"),))
    columns = visit.desk.snapshot.types("plans")
    return send_answer(visit, "plan", columns, question, detail=f"rows of the plan: {describe_filters(among)}")


def _read_kept_share(visit: Visit) -> float | None:
    """Return which share of the money at risk the plan counts as kept; None where it is hidden or not published yet."""
    rows = visit.ask(Question(relation="plans", columns=("kept_share",), limit=1))  # the same in every row
    return rows[0].get("kept_share") if rows and visit.sees("kept_share") == "clear" else None


def _list_strategies(visit: Visit, among: tuple[Condition, ...]) -> list[dict[str, Any]]:
    """Return the strategies that are used: contacted, held out, cost and expected value, the dearest first."""
    is_used = Condition(column="arm", comparison="in", value=["treated", "holdout"])
    by_strategy = Question(
        relation="plans",
        columns=("strategy_id", "arm"),
        where=(is_used,),
        among=among,
        measures=(COUNT, COST, EXPECTED),
    )
    found: dict[str, dict[str, Any]] = {}
    for row in visit.ask(by_strategy):
        one = found.setdefault(row["strategy_id"], {"treated": 0, "holdout": 0, "cost": 0.0, "expected": 0.0})
        one[row["arm"]] = row["count"]
        if row["arm"] == "treated":
            one |= {"cost": row["cost"], "expected": row["expected"]}
    return sorted(
        ({"strategy_id": name, **row} for name, row in found.items()), key=lambda row: (-row["cost"], -row["treated"])
    )


def _list_reasons(visit: Visit, among: tuple[Condition, ...]) -> list[dict[str, Any]]:
    not_contacted = Condition(column="arm", comparison="in", value=["none", "holdout", "control"])
    by_reason = Question(
        relation="plans", columns=("decision_reason",), where=(not_contacted,), among=among, measures=(COUNT, MONEY)
    )
    return sorted(visit.ask(by_reason), key=lambda row: -row["count"])
