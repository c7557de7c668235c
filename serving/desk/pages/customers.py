"""Customers at risk: filtered, sorted, page by page, and as CSV."""

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from serving.access import Condition, Measure, Order, Question
from serving.desk.pages.today import COUNT, read_names
from serving.desk.visit import InvalidRequestError, Person, Visit
from serving.export import write_csv

router = APIRouter()
PAGE = 50
FILTERS = ("tier", "lifecycle_stage", "value_tier", "region", "strategy_id")
BY_POSITION = Order(column="position")
SORTS = {
    "money": (BY_POSITION,),
    "score": (Order(column="score", descending=True), BY_POSITION),
    "value": (Order(column="value_from_now", descending=True), BY_POSITION),
    "rise": (Order(column="previous_score", descending=True), BY_POSITION),
}
SHOWN = (
    "position", "customer_id", "region", "lifecycle_stage", "value_tier", "tier", "score", "previous_score",
    "money_at_risk", "value_from_now", "main_reason_en", "main_reason_zh", "strategy_id", "arm", "responsible",
    "recency_days",
)  # fmt: skip


@router.get("/customers")
def list_customers(visit: Person) -> Response:
    """Show a page of the list."""
    visit.require("customers")
    where, order = _read_filters(visit), _read_order(visit)
    after = visit.read_key(order)
    question = Question(relation="customers", columns=SHOWN, where=where, order=order, after=after, limit=PAGE + 1)
    rows = visit.ask(question)
    money = Measure(function="sum", name="money", column="money_at_risk")
    return visit.render(
        "customers.html",
        rows=rows[:PAGE],
        totals=visit.count("customers", *where, money=money),
        options={name: _list_options(visit, name) for name in FILTERS if visit.sees(name) == "clear"},
        sorts=[name for name, orders in SORTS.items() if all(visit.sees(each.column) == "clear" for each in orders)],
        next=visit.link(after=_write_key(rows[PAGE - 1], order)) if len(rows) > PAGE else None,
        is_first=not after,
        strategies=read_names(visit, "strategies", "strategy_id"),
    )


@router.get("/customers.csv")
def export(visit: Person) -> Response:
    """Send all rows that meet the filters, with the columns of the list that the role sees."""
    visit.require("export")
    where, order = _read_filters(visit), _read_order(visit)
    names = [name for name in SHOWN if visit.sees(name) != "hidden" and name != "position"]
    filters = ", ".join(f"{each.column}={each.value}" for each in where) or "all"
    visit.record("export", detail=f"{visit.count('customers', *where)['count']} customers: {filters}")
    head = {"Content-Disposition": f'attachment; filename="customers-{visit.about["as_of"]}.csv"'}
    question = Question(relation="customers", columns=SHOWN, where=where, order=order)
    return StreamingResponse(write_csv(visit, question, names), media_type="text/csv; charset=utf-8", headers=head)


def _read_filters(visit: Visit) -> tuple[Condition, ...]:
    given = ((name, visit.parameter(name)) for name in FILTERS)
    return tuple(Condition(column=name, comparison="=", value=value) for name, value in given if value is not None)


def _read_order(visit: Visit) -> tuple[Order, ...]:
    name = visit.parameter("sort") or "money"
    if name not in SORTS:
        raise InvalidRequestError("There is no such order of the list.")
    return SORTS[name]


def _list_options(visit: Visit, name: str) -> list[str]:
    rows = visit.ask(Question(relation="customers", columns=(name,), measures=(COUNT,), order=(Order(column=name),)))
    return [row[name] for row in rows if row[name] is not None]


def _write_key(row: dict[str, Any], order: tuple[Order, ...]) -> str:
    return json.dumps([row[each.column] for each in order])
