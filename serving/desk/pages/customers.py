"""Customers at risk: filtered, sorted, page by page, and as CSV."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response, StreamingResponse

from serving.access import Condition, Measure, Order, Question
from serving.desk.pages.today import COUNT, read_names
from serving.desk.visit import InvalidRequestError, Visit, enter

router = APIRouter()
PAGE, CHUNK = 50, 5_000
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
Person = Annotated[Visit, Depends(enter)]


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
    return StreamingResponse(
        _write_rows(visit, names, where, order), media_type="text/csv; charset=utf-8", headers=head
    )


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


def _write_rows(
    visit: Visit, names: list[str], where: tuple[Condition, ...], order: tuple[Order, ...]
) -> Iterator[str]:
    """Yield the lines of the file, a chunk of customers after the other."""
    buffer = io.StringIO()
    after: tuple[Any, ...] = ()
    writer = csv.writer(buffer)
    writer.writerow(names)
    while True:
        rows = visit.ask(
            Question(relation="customers", columns=SHOWN, where=where, order=order, after=after, limit=CHUNK)
        )
        writer.writerows([_as_text(row.get(name)) for name in names] for row in rows)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        if len(rows) < CHUNK:
            return
        after = tuple(rows[-1][each.column] for each in order)


def _as_text(value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    """Return a cell of which no spreadsheet makes a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
