"""Customer ids that a person has declared to be different customers, whatever the evidence says. Append-only."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select

from retention.store.database import digest, next_number
from retention.store.tables import IDENTITY_DECISIONS

if TYPE_CHECKING:
    from retention.store.store import Store


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


class IdentityDecisions:
    """The decisions in the operational store."""

    def __init__(self, store: "Store") -> None:
        """Keep them in the database of `store`."""
        self._database = store.database

    def decide(
        self, customer_id: str, *, other_id: str | None = None, is_apart: bool, by: str, reason: str, at: datetime
    ) -> IdentityDecision:
        """Take a customer id apart from another, or from all others, or let it be linked again.

        The same decision again changes nothing. Raises ValueError without a name, a reason or a second id.
        """
        if not by.strip() or not reason.strip():
            raise ValueError("A decision about identity needs the name of a person and a reason; pass both.")
        if customer_id == other_id:
            raise ValueError(f"The customer id {customer_id} cannot be taken apart from itself; name two ids.")
        decision = IdentityDecision(
            customer_id=customer_id, other_id=other_id, is_apart=is_apart, decided_by=by, reason=reason, decided_at=at
        )
        with self._database.write() as connection:
            return _record(connection, decision)

    def read_apart(self) -> list[IdentityDecision]:
        """Return the decisions by which customer ids are kept apart now, oldest first."""
        with self._database.read() as connection:
            return [decision for decision in _latest(connection).values() if decision.is_apart]


def _record(connection: Connection, decision: IdentityDecision) -> IdentityDecision:
    latest = _latest(connection).get(decision.pair)
    if (latest is not None and latest.is_apart) == decision.is_apart:
        return latest or decision
    numbered = replace(decision, number=next_number(connection, IDENTITY_DECISIONS))
    identity = digest("identity", str(numbered.number), *numbered.pair)
    connection.execute(insert(IDENTITY_DECISIONS).values(decision_id=identity, **vars(numbered)))
    return numbered


def _latest(connection: Connection) -> dict[tuple[str, str], IdentityDecision]:
    names = IdentityDecision.__dataclass_fields__
    rows = connection.execute(select(IDENTITY_DECISIONS).order_by(IDENTITY_DECISIONS.c.number)).mappings()
    decisions = [IdentityDecision(**{name: row[name] for name in names}) for row in rows]
    return {decision.pair: decision for decision in decisions}
