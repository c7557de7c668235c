"""The clocks of alerts and incidents as people see them: the answer, the rungs of the ladder, the response's steps."""

from collections.abc import Collection
from typing import Any

from retention.acting.clock import RUNG, STEP, Due
from retention.store.answers import Answerable
from serving.access import MASK_OF_TEXT
from serving.actor import Actor


def read_deadlines(actor: Actor, of: Answerable, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return by id, of those that the actor was shown, every deadline: of what, whose, due when, ended or missed."""
    policy = actor.desk.policy
    return {
        its_id: [
            _describe(actor, actor.clock.measure(watched.log, deadline), number)
            for number, deadline in enumerate(watched.deadlines(policy))
        ]
        for its_id, watched in of.read_logs(ids).items()
    }


def _describe(actor: Actor, due: Due, number: int) -> dict[str, Any]:
    """Return a deadline as rows have it; the answer is the first of all, so that rungs are numbered from 1."""
    kind = due.deadline.kind
    return {
        "kind": kind,
        "number": number if kind == RUNG else None,
        "step": due.deadline.step if kind == STEP else None,
        "owner": due.owner if actor.sees("owner") == "clear" else MASK_OF_TEXT,
        "hours": due.deadline.span.total_seconds() / 3600,
        "due_at": due.due_at,
        "ended_at": due.ended_at,
        "is_missed": due.is_breached(actor.now),
    }
