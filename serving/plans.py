"""The plan of the day: whether it waits for an approval, who gives it, and what differs from the plan before it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from serving.access import Condition, Measure, Question
from serving.actor import Actor

COUNT = Measure(function="count", name="count")
SUMMED = ("cost", "expected_value", "previous_cost", "previous_expected_value")
_SUMS = tuple(Measure(function="sum", name=name, column=name) for name in SUMMED)
CHANGES = ("in", "out", "other_strategy", "stays")


def read_approval(actor: Actor) -> dict[str, Any]:
    """Return whether plans need an approval, what was decided about the published one, and which plans wait."""
    actor.require("plan")
    as_of, approvals = actor.about["as_of"], actor.desk.store.plan_approvals
    decided, waiting = approvals.find(as_of), approvals.count_waiting()
    return {
        "as_of": as_of,
        "is_required": actor.desk.policy.plans.approval == "required",
        "is_approved": decided.is_approved if decided else None,
        "decided_by": decided.decided_by if decided else None,
        "decided_at": decided.decided_at if decided else None,
        "count_waiting": waiting.pop(as_of, 0),
        "earlier": [{"as_of": day, "count_waiting": count} for day, count in waiting.items()],
    }


def decide_plan(actor: Actor, as_of: date, *, is_approved: bool) -> dict[str, Any]:
    """Approve or refuse the plan of a day; it stands in the audit log. Raises AlreadyDecidedError."""
    actor.require("approve")
    decided, count = actor.desk.store.plan_approvals.decide(as_of, is_approved=is_approved, by=actor.name, at=actor.now)
    verb = "approved" if is_approved else "refused"
    detail = f"{verb}: {count} messages, plan {decided.fingerprint[:12]}"
    actor.record("approve", subject=as_of.isoformat(), detail=detail)
    return {"as_of": as_of, "is_approved": is_approved, "count_messages": count}


def compare_plans(actor: Actor, among: tuple[Condition, ...] = ()) -> dict[str, Any] | None:
    """Return what differs from the plan before, None where there is none before.

    `counts` are customers by change, the sums those of either plan, `strategies` the contacted and their cost by
    strategy; `why_in` and `why_out` count customers by the reason of the plan before, or of this one.
    """
    before = actor.count("plan_changes", before=Measure(function="max", name="before", column="previous_as_of"))
    if before["before"] is None:
        return None
    totals = {row["plan_change"]: row for row in _group(actor, "plan_change", CHANGES, among, _SUMS)}
    return {
        "before": before["before"],
        "counts": {change: totals[change]["count"] if change in totals else 0 for change in CHANGES},
        **{name: _add_up(totals, name) for name in SUMMED},
        "strategies": _compare_strategies(actor, among),
        "why_in": _group(actor, "previous_reason", ("in",), among),
        "why_out": _group(actor, "decision_reason", ("out",), among),
    }


def _add_up(totals: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """Return a sum over whom the plan contacts, or the plan before."""
    not_contacted = "in" if name.startswith("previous_") else "out"
    return sum(row[name] or 0.0 for change, row in totals.items() if change != not_contacted)


def _group(
    actor: Actor,
    column: str,
    changes: Sequence[str],
    among: tuple[Condition, ...],
    measures: tuple[Measure, ...] = (),
) -> list[dict[str, Any]]:
    """Return counts and sums of customers with some changes by a column, the most first."""
    where = (Condition(column="plan_change", comparison="in", value=list(changes)),)
    asked = Question(relation="plan_changes", columns=(column,), where=where, among=among, measures=(COUNT, *measures))
    return sorted(actor.ask(asked), key=lambda row: (-row["count"], str(row[column])))


def _compare_strategies(actor: Actor, among: tuple[Condition, ...]) -> list[dict[str, Any]]:
    """Return by strategy how many are contacted now and were before, and at what cost; the largest change first."""
    found: dict[str, dict[str, Any]] = {}
    for prefix, change in (("", "in"), ("previous_", "out")):
        name, cost = f"{prefix}strategy_id", f"{prefix}cost"
        for row in _group(actor, name, (change, "other_strategy", "stays"), among, _SUMS):
            blank = {"count": 0, "previous_count": 0, "cost": 0.0, "previous_cost": 0.0}
            one = found.setdefault(row[name], {"strategy_id": row[name], **blank})
            one |= {f"{prefix}count": row["count"], cost: row[cost]}
    return sorted(found.values(), key=lambda row: -abs(row["count"] - row["previous_count"]))
