"""Customers at risk: filtered, sorted, page by page, and as CSV."""

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Measure, Order, Question
from serving.desk.files import send_answer
from serving.desk.filters import describe_filters, list_options, read_filters
from serving.desk.pages.today import read_names
from serving.desk.visit import InvalidRequestError, Person, Visit

router = APIRouter()
PAGE = 50
BY_POSITION = Order(column="position")
SORTS = {
    "money": (BY_POSITION,),
    "score": (Order(column="score", descending=True), BY_POSITION),
    "value": (Order(column="value_from_now", descending=True), BY_POSITION),
    "rise": (Order(column="previous_score", descending=True), BY_POSITION),
}
SHOWN = (
    "position", "customer_id", "region", "lifecycle_stage", "value_tier", "tier", "score", "previous_score",
    "money_at_risk", "value_from_now", "main_reason_en", "main_reason_zh", "anomaly_en", "anomaly_zh", "strategy_id",
    "arm", "decision_reason", "responsible", "recency_days",
)  # fmt: skip


@router.get("/customers")
def list_customers(visit: Person) -> Response:
    """Show a page of the list."""
    visit.require("customers")
    where, order = read_filters(visit), _read_order(visit)
    after = visit.read_key(order)
    question = Question(relation="customers", columns=SHOWN, where=where, order=order, after=after, limit=PAGE + 1)
    rows = visit.ask(question)
    money = Measure(function="sum", name="money", column="money_at_risk")
    return visit.render(
        "customers.html",
        rows=rows[:PAGE],
        totals=visit.count("customers", *where, money=money),
        options=list_options(visit),
        sorts=[name for name, orders in SORTS.items() if all(visit.sees(each.column) == "clear" for each in orders)],
        next=visit.link(after=_write_key(rows[PAGE - 1], order)) if len(rows) > PAGE else None,
        is_first=not after,
        has_before=any(row.get("previous_score") is not None for row in rows),
        strategies=read_names(visit, "strategies", "strategy_id"),
        reasons=read_names(visit, "decision_reasons", "decision_reason"),
    )


@router.get("/customers.csv")
def export(visit: Person) -> Response:
    """Send all rows that meet the filters, with the columns of the list that the role sees."""
    visit.require("export")
    where, order = read_filters(visit), _read_order(visit)
    question = Question(relation="customers", columns=SHOWN, where=where, order=order)
    return send_answer(visit, "customers", SHOWN[1:], question, detail=f"customers: {describe_filters(where)}")


def _read_order(visit: Visit) -> tuple[Order, ...]:
    name = visit.parameter("sort") or "money"
    if name not in SORTS:
        raise InvalidRequestError("There is no such order of the list.")
    return SORTS[name]


def _write_key(row: dict[str, Any], order: tuple[Order, ...]) -> str:
    return json.dumps([row[each.column] for each in order])
