"""Movement between risk tiers over a day, a week or a month: how many and who, by the value of acting."""

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Measure, Order, Question
from serving.desk.files import send_answer
from serving.desk.filters import COUNT, OF_CUSTOMERS, describe_filters, list_options, read_filters
from serving.desk.pages.today import TIERS, read_names
from serving.desk.visit import InvalidRequestError, Person, Visit

router = APIRouter()
PAGE = 50
SPANS = {"1": "previous", "7": "week", "30": "month"}  # days -> how the columns of the day before them begin
BY_VALUE = (Order(column="expected_value", descending=True), Order(column="position"))
SHOWN = (
    "customer_id", "region", "lifecycle_stage", "value_tier", "tier", "score", "expected_value", "money_at_risk",
    "main_reason_en", "main_reason_zh", "anomaly_en", "anomaly_zh", "strategy_id", "channel", "arm", "decision_reason",
    "responsible", "recency_days",
)  # fmt: skip


@router.get("/movement")
def show(visit: Person) -> Response:
    """Show how many moved from which tier to which, and who."""
    visit.require("customers")
    span = _read_span(visit)
    where, after = _read_where(visit, span), visit.read_key(BY_VALUE)
    rows = visit.ask(_ask_rows(span, where, after=after, limit=PAGE + 1))
    day = Measure(function="max", name="before", column=f"{span}_as_of")
    return visit.render(
        "movement.html",
        span=span,
        spans=SPANS,
        before=visit.count("customers", before=day)["before"],
        moves=_count_moves(visit, span),
        rows=rows[:PAGE],
        total=visit.count("customers", *where)["count"],
        tiers=TIERS,
        options=list_options(visit, OF_CUSTOMERS),
        next=visit.link(after=_write_key(rows[PAGE - 1])) if len(rows) > PAGE else None,
        is_first=not after,
        strategies=read_names(visit, "strategies", "strategy_id"),
        reasons=read_names(visit, "decision_reasons", "decision_reason"),
    )


@router.get("/movement.csv")
def export(visit: Person) -> Response:
    """Send everybody who moved and meets the filters, with the columns of the list that the role sees."""
    visit.require("customers")
    visit.require("export")
    span = _read_span(visit)
    where = _read_where(visit, span)
    columns = (f"{span}_tier", f"{span}_score", *SHOWN)
    detail = f"customers who moved since {span}: {describe_filters(where[1:])}"
    return send_answer(visit, "movement", columns, _ask_rows(span, where), detail=detail)


def _ask_rows(
    span: str, where: tuple[Condition, ...], *, after: tuple[Any, ...] = (), limit: int | None = None
) -> Question:
    columns = (*SHOWN, f"{span}_tier", f"{span}_score", "position")
    return Question(relation="customers", columns=columns, where=where, order=BY_VALUE, after=after, limit=limit)


def _read_span(visit: Visit) -> str:
    span = SPANS.get(visit.parameter("days") or "7")
    if span is None:
        raise InvalidRequestError("Movement is shown over 1, 7 or 30 days.")
    return span


def _read_where(visit: Visit, span: str) -> tuple[Condition, ...]:
    """Return the conditions on who moved: the first is that they did, then from which tier to which."""
    moved = Condition(column=f"{span}_tier", comparison="differs from", value="tier")
    given = ((f"{span}_tier", visit.parameter("before")), ("tier", visit.parameter("tier")))
    ends = [Condition(column=name, comparison="=", value=value) for name, value in given if value is not None]
    return (moved, *ends, *read_filters(visit, OF_CUSTOMERS))


def _count_moves(visit: Visit, span: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return by the tier of before and of now how many customers there are, and their money at risk."""
    money = Measure(function="sum", name="money", column="money_at_risk")
    measures = (COUNT, money) if visit.sees("money_at_risk") == "clear" else (COUNT,)
    columns = (f"{span}_tier", "tier")
    where = read_filters(visit, OF_CUSTOMERS)
    rows = visit.ask(Question(relation="customers", columns=columns, where=where, measures=measures))
    return {(row[columns[0]], row["tier"]): {"money": None, **row} for row in rows}


def _write_key(row: dict[str, Any]) -> str:
    return json.dumps([row[each.column] for each in BY_VALUE])
