"""Delivery: from planned to redeemed, what is unknown, late or failed, and the proof of what left."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.store.ledger import Which
from serving.delivery import (
    SHOWN,
    STATES,
    STEPS,
    TROUBLED,
    choose_messages,
    count_messages,
    count_steps,
    list_messages,
)
from serving.desk.charts import draw_bars
from serving.desk.files import send_rows
from serving.desk.filters import OF_CUSTOMERS, PERIODS, list_options, read_filters, read_period
from serving.desk.pages.today import read_names
from serving.desk.visit import InvalidRequestError, Person, Visit

router = APIRouter()
MOST, MOST_EXPORTED = 50, 100_000


@router.get("/delivery")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("delivery")
    which = _read_which(visit)
    channels, steps = count_messages(visit, which), count_steps(visit, which)
    totals = {name: sum(row[name] for row in channels) for name in ("all", "replays", *STATES)}
    state = _read_state(visit) or next((name for name in (*TROUBLED, "planned") if totals[name]), "sent")
    reached = {name: sum(counts.get(name, 0) for counts in steps.values()) for name in STEPS}
    words = visit.words
    return visit.render(
        "delivery.html",
        channels=channels,
        totals=totals,
        states=STATES,
        state=state,
        rows=list_messages(visit, state, limit=MOST, which=which),
        most=MOST,
        steps=steps,
        names_of_steps=STEPS,
        chart=draw_bars((words.text(f"step.{name}"), float(count), None, None) for name, count in reached.items()),
        periods=PERIODS,
        options=list_options(visit, OF_CUSTOMERS),
        strategies=read_names(visit, "strategies", "strategy_id"),
    )


@router.get("/delivery.csv")
def export(visit: Person) -> Response:
    """Send the messages in a state as CSV."""
    visit.require("export")
    state = _read_state(visit) or TROUBLED[0]
    rows: list[dict[str, Any]] = list_messages(visit, state, limit=MOST_EXPORTED, which=_read_which(visit))
    return send_rows(visit, f"messages-{state}", SHOWN, rows, detail=f"{len(rows)} messages: {state}")


def _read_which(visit: Visit) -> Which:
    """Return the messages that the address means; its strategy is that of the message, not of today's plan."""
    period = read_period(visit)
    return choose_messages(
        visit,
        strategy_id=visit.parameter("strategy_id"),
        days=None if period is None else PERIODS[period],
        among=read_filters(visit, tuple(name for name in OF_CUSTOMERS if name != "strategy_id")),
    )


def _read_state(visit: Visit) -> str | None:
    state = visit.parameter("state")
    if state is not None and state not in STATES:
        raise InvalidRequestError("There is no such state of a message.")
    return state
