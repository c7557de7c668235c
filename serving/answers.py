"""Answers to alerts and incidents, by people on the desk and by programs: one way, one line in the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retention.acting.clock import CLOSED, SNOOZED
from retention.store.answers import Answerable
from serving.actor import Actor, NotFoundError


class MovedOnError(Exception):
    """What is answered is no longer in a state for the answer; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is done: acknowledge, snooze `until`, hand_over to `owner`, finish a `step`, or close with `feedback`."""

    action: str
    until: datetime | None = None
    owner: str = ""
    step: str = ""
    feedback: str = ""
    note: str = ""

    def apply(self, of: Answerable, its_id: str, **who_and_when: Any) -> str:  # noqa: ANN401 - by, at, clock
        """Write it to the store and return what became of it. Raises ValueError when it has moved on."""
        match self.action:
            case "acknowledge":
                of.acknowledge(its_id, **who_and_when)
                return "acknowledged"
            case "snooze" if self.until is not None:
                of.snooze(its_id, until=self.until, note=self.note, **who_and_when)
                return f"snoozed until {self.until:%Y-%m-%d %H:%M} UTC"
            case "hand_over":
                of.hand_over(its_id, to=self.owner, note=self.note, **who_and_when)
                return f"handed over to {self.owner}"
            case "step":
                of.finish_step(its_id, step=self.step, note=self.note, **who_and_when)
                return f"step {self.step} done"
            case "close":
                of.close(its_id, feedback=self.feedback, note=self.note, **who_and_when)
                return f"closed, {self.feedback}"
        raise ValueError(f"{self.action} is no answer.")


def give_answer(
    actor: Actor, of: Answerable, its_id: str, answer: Answer, *, customer_id: str | None = None
) -> tuple[str, str]:
    """Answer for an actor who may and who sees it; return its state before and after, which the audit log has too.

    The customer stands in the log only where the actor sees who it is. Raises NotFoundError and MovedOnError.
    """
    actor.require("answer")
    before = _read_state(of, its_id, at=actor.now)
    try:
        detail = answer.apply(of, its_id, by=actor.name, at=actor.now, clock=actor.clock)
    except ValueError as error:
        raise MovedOnError(str(error)) from None
    customer = customer_id if actor.sees("customer_id") == "clear" else None
    actor.record(answer.action, customer_id=customer, subject=its_id, detail=f"{before} -> {detail}")
    return before, _read_state(of, its_id, at=actor.now)


def _read_state(of: Answerable, its_id: str, *, at: datetime) -> str:
    row = of.states([its_id]).get(its_id)
    if row is None:
        raise NotFoundError
    is_snoozed = row["snoozed_until"] is not None and row["snoozed_until"] > at
    return SNOOZED if is_snoozed and row["state"] != CLOSED else str(row["state"])
