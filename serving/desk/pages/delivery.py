"""Delivery: from planned to redeemed, what is unknown, late or failed, and the proof of what left."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.delivery import SHOWN, STATES, STEPS, TROUBLED, count_messages, count_steps, list_messages
from serving.desk.files import send_rows
from serving.desk.pages.today import read_names
from serving.desk.visit import InvalidRequestError, Person, Visit

router = APIRouter()
MOST, MOST_EXPORTED = 100, 100_000


@router.get("/delivery")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("delivery")
    state = _read_state(visit)
    channels = count_messages(visit)
    return visit.render(
        "delivery.html",
        channels=channels,
        totals={name: sum(row[name] for row in channels) for name in ("all", "replays", *STATES)},
        states=STATES,
        state=state,
        rows=list_messages(visit, state, limit=MOST),
        most=MOST,
        steps=count_steps(visit),
        names_of_steps=STEPS,
        strategies=read_names(visit, "strategies", "strategy_id"),
    )


@router.get("/delivery.csv")
def export(visit: Person) -> Response:
    """Send the messages in a state as CSV."""
    visit.require("export")
    state = _read_state(visit)
    rows: list[dict[str, Any]] = list_messages(visit, state, limit=MOST_EXPORTED)
    return send_rows(visit, f"messages-{state}", SHOWN, rows, detail=f"{len(rows)} messages: {state}")


def _read_state(visit: Visit) -> str:
    state = visit.parameter("state") or TROUBLED[0]
    if state not in STATES:
        raise InvalidRequestError("There is no such state of a message.")
    return state
