"""Plan and budget: what is spent on which strategy, why others are not contacted, what differs, and the approval."""

from datetime import date
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.plan_approvals import AlreadyDecidedError
from serving.access import Condition, Measure, Order, Question
from serving.desk.charts import draw_bars
from serving.desk.files import send_answer
from serving.desk.filters import COUNT, OF_CUSTOMERS, describe_filters, list_options, read_filters
from serving.desk.pages.today import read_names
from serving.desk.visit import Form, InvalidRequestError, Person, Visit, go_to
from serving.plans import compare_plans, decide_plan, read_approval

router = APIRouter()
COST = Measure(function="sum", name="cost", column="cost")
EXPECTED = Measure(function="sum", name="expected", column="expected_value")
MONEY = Measure(function="sum", name="money", column="money_at_risk")
MOST_CHANGES = 20
CHANGES = (
    "customer_id", "plan_change", "strategy_id", "decision_reason", "cost", "expected_value", "previous_as_of",
    "previous_strategy_id", "previous_reason", "previous_cost", "previous_expected_value",
)  # fmt: skip
_CONFLICT = 409


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
        approval=read_approval(visit),
        compared=compare_plans(visit, among),
        changes=visit.ask(_ask_changes(among, limit=MOST_CHANGES)),
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


@router.get("/plan/changes.csv")
def export_changes(visit: Person) -> Response:
    """Send whom this plan or the one before it contacts, and what became of them."""
    visit.require("plan")
    visit.require("export")
    among = read_filters(visit, OF_CUSTOMERS)
    detail = f"changes of the plan: {describe_filters(among)}"
    return send_answer(visit, "plan-changes", CHANGES, _ask_changes(among), detail=detail)


@router.post("/plan/{decision}")
def decide(visit: Person, decision: str, form: Form) -> Response:
    """Approve or refuse a plan that waits; it stands in the audit log."""
    visit.require("approve")
    if decision not in {"approve", "refuse"}:
        raise InvalidRequestError("A plan is approved or refused.")
    try:
        as_of = date.fromisoformat(form.get("as_of", ""))
    except ValueError:
        raise InvalidRequestError("A plan is named by its day.") from None
    try:
        decide_plan(visit, as_of, is_approved=decision == "approve")
    except AlreadyDecidedError:
        message = visit.words.text("error.decided", as_of=as_of)
        return visit.render("error.html", status=_CONFLICT, message=message, fix="")
    return go_to("/plan")


def _ask_changes(among: tuple[Condition, ...], *, limit: int | None = None) -> Question:
    order = (Order(column="position"),)
    return Question(relation="plan_changes", columns=CHANGES, among=among, order=order, limit=limit)


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
