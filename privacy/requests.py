"""Requests of the people whom data are about: their kinds, their states, and which state may follow which."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

Kind = Literal["access", "portability", "erasure", "anonymisation", "rectification", "objection"]
State = Literal["received", "verified", "planned", "running", "partial", "done", "refused", "held"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
REMOVING: tuple[Kind, ...] = ("erasure", "anonymisation")
EXPORTING: tuple[Kind, ...] = ("access", "portability")
ENDS: tuple[State, ...] = ("done", "refused")
EXTENDED, STORE_DONE = "extended", "store_done"  # events that are no state

_FOLLOWS: dict[State, tuple[State, ...]] = {
    "received": ("verified", "refused"),
    "verified": ("planned", "running", "refused", "held"),
    "planned": ("planned", "running", "refused", "held"),
    "running": ("running", "partial", "done"),
    "partial": ("running",),
    "held": ("verified", "refused"),
    "done": (),
    "refused": (),
}
_NEEDS_REASON = ("refused", "held")


class RequestError(ValueError):
    """A request cannot be handled so; the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class Callback:
    """An address that is called when the status of a request changes, for the controller who sent the request.

    `known_status` is what was taken there last, None before anything was.
    """

    request_id: str
    url: str
    controller_id: str
    known_status: str | None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it is now; whom it is about is known by a keyed token alone.

    `sealed` holds the ids while the request is open, encrypted; nothing is left of it at the end.
    """

    request_id: str
    kind: Kind
    law: str
    customer_token: str
    received_on: date
    due_on: date
    state: State
    changed_at: datetime
    changed_by: str
    note: str
    sealed: str | None

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for an answer."""
        return self.state not in ENDS


def check_move(request: Request, to: State, *, by: str, note: str) -> None:
    """Raise RequestError unless a request may come into a state now."""
    if not by.strip():
        raise RequestError("Every step of a request has the name of a person; pass `--by`.")
    if to in _NEEDS_REASON and not note.strip():
        raise RequestError(f"A request is {to} for a reason; pass `--reason`, without personal data in it.")
    if to not in _FOLLOWS[request.state]:
        possible = ", ".join(_FOLLOWS[request.state]) or "nothing: it is at its end"
        raise RequestError(
            f"The request {request.request_id} is {request.state} and cannot become {to}; possible is: {possible}."
        )


def remind(requests: Iterable[Request], *, today: date, days_before: int) -> list[str]:
    """Return a sentence per open request that is overdue or due within so many days, the most urgent first."""
    urgent = [each for each in requests if each.is_open and (each.due_on - today).days <= days_before]
    return [_remind(each, today) for each in sorted(urgent, key=lambda each: (each.due_on, each.request_id))]


def _remind(request: Request, today: date) -> str:
    left = (request.due_on - today).days
    when = f"was due on {request.due_on}" if left < 0 else f"is due on {request.due_on}"
    return (
        f"The request {request.request_id[:8]} ({request.kind}, {request.law}) {when} and is {request.state}; "
        f"`holdfast privacy show {request.request_id[:8]}` shows its steps."
    )
