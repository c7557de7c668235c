"""Approvals of plans: where the policy asks for one, no message of a plan leaves before a person has approved it."""

from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import func, insert, select

from retention.store.database import Database
from retention.store.outbox import UNAPPROVED, release
from retention.store.tables import OUTBOX, PLAN_APPROVALS, PLANS


class AlreadyDecidedError(Exception):
    """A plan has been approved or refused before, or nobody asked; the message names it."""


@dataclass(frozen=True, kw_only=True)
class PlanApproval:
    """What a person decided about the plan of a day, and whose content it had: the plan's fingerprint."""

    as_of: date
    is_approved: bool
    decided_by: str
    decided_at: datetime
    fingerprint: str


class PlanApprovals:
    """One row per plan that was approved or refused."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def decide(self, as_of: date, *, is_approved: bool, by: str, at: datetime) -> tuple[PlanApproval, int]:
        """Approve or refuse the plan of a day, once: its messages are due from then on, or never leave.

        Returns the decision and how many messages waited for it. Raises AlreadyDecidedError where none did.
        """
        with self._database.write() as connection:
            plan = select(PLANS.c.fingerprint).where(PLANS.c.as_of == as_of).with_for_update()
            fingerprint = connection.scalar(plan)
            waited = release(connection, as_of, is_approved=is_approved, by=by, at=at)
            if fingerprint is None or not waited:
                raise AlreadyDecidedError(f"No message of the plan of {as_of} waits for an approval.")
            decided = PlanApproval(
                as_of=as_of, is_approved=is_approved, decided_by=by, decided_at=at, fingerprint=fingerprint
            )
            connection.execute(insert(PLAN_APPROVALS).values(**asdict(decided)))
        return decided, waited

    def find(self, as_of: date) -> PlanApproval | None:
        """Return what was decided about the plan of a day, None before."""
        query = select(PLAN_APPROVALS).where(PLAN_APPROVALS.c.as_of == as_of)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else PlanApproval(**row)

    def count_waiting(self) -> dict[date, int]:
        """Return the days whose plans wait, with how many messages each, the oldest first."""
        query = select(OUTBOX.c.as_of, func.count().label("waiting")).where(OUTBOX.c.state == UNAPPROVED)
        query = query.group_by(OUTBOX.c.as_of).order_by(OUTBOX.c.as_of)
        with self._database.read() as connection:
            return {row.as_of: row.waiting for row in connection.execute(query)}
