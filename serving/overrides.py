"""What a person decides about one customer, from the desk or through the API; the next plan goes by it."""

from datetime import date

from retention.deciding.plan_overrides import Kind, PlanOverride, check, find_holding
from serving.actor import Actor, InvalidRequestError


def override_plan(
    actor: Actor,
    *,
    customer_id: str,
    kind: Kind,
    strategy_id: str | None,
    until: date | None,
    reason: str,
) -> tuple[str, str]:
    """Record a decision about a customer whom the actor may see; return what held before, and what holds now.

    Raises InvalidRequestError for one that cannot be made.
    """
    override = PlanOverride(
        customer_id=customer_id,
        kind=kind,
        strategy_id=strategy_id,
        until=until,
        decided_by=actor.name,
        reason=reason,
        decided_at=actor.now,
    )
    try:
        check(override, actor.desk.strategies, today=actor.now.date())
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    before, after = actor.desk.store.plan_overrides.record(override), override.summarise()
    actor.record("override", customer_id=customer_id, detail=f"{before} -> {after}: {reason}")
    return before, after


def read_override(actor: Actor, customer_id: str) -> PlanOverride | None:
    """Return the decision that holds for the next plan, None where there is none."""
    decided = actor.desk.store.plan_overrides.read(customer_id)
    return find_holding(decided, as_of=actor.now.date()).get(customer_id)
