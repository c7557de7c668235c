"""What people decided about identity: ids that are not the same customer's, whatever the evidence says."""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from retention.store.tables import IDENTITY_DECISIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, kw_only=True)
class IdentityDecision:
    """A person took a customer id apart from another, or without an other from all; or let it be linked again."""

    customer_id: str
    other_id: str | None
    is_apart: bool
    decided_by: str
    reason: str
    decided_at: datetime
    number: int = 0

    @property
    def pair(self) -> tuple[str, str]:
        """The two ids in their order; the second is empty when the decision is about all others."""
        first, second = self.customer_id, self.other_id or ""
        return (second, first) if second and second < first else (first, second)


def record_decision(connection: "Connection", decision: IdentityDecision) -> IdentityDecision:
    """Record a decision under the next number; the one that holds already is returned and nothing is added."""
    if not decision.decided_by.strip() or not decision.reason.strip():
        raise ValueError("A decision about identity needs the name of a person and a reason; pass both.")
    if decision.customer_id == decision.other_id:
        raise ValueError(f"The customer id {decision.customer_id} cannot be taken apart from itself; name two ids.")
    held = _latest(connection).get(decision.pair)
    if (held is not None and held.is_apart) == decision.is_apart:
        return held or decision
    last = connection.scalar(select(func.coalesce(func.max(IDENTITY_DECISIONS.c.number), 0)))
    numbered = replace(decision, number=int(last or 0) + 1)
    values = {name: getattr(numbered, name) for name in IdentityDecision.__dataclass_fields__}
    digest = sha256("|".join(["identity", str(numbered.number), *numbered.pair]).encode()).hexdigest()[:32]
    connection.execute(insert(IDENTITY_DECISIONS).values(decision_id=digest, **values))
    return numbered


def list_apart(connection: "Connection") -> list[IdentityDecision]:
    """Return the decisions by which ids are kept apart now, oldest first."""
    return [decision for decision in _latest(connection).values() if decision.is_apart]


def _latest(connection: "Connection") -> dict[tuple[str, str], IdentityDecision]:
    names = IdentityDecision.__dataclass_fields__
    rows = connection.execute(select(IDENTITY_DECISIONS).order_by(IDENTITY_DECISIONS.c.number)).mappings()
    told = [IdentityDecision(**{name: row[name] for name in names}) for row in rows]
    return {decision.pair: decision for decision in told}
