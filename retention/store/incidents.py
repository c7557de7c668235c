"""Incidents: one row per rate that rose in a group, its customers, and what became of it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, update

from retention.acting.clock import ROUND_THE_CLOCK, Clock
from retention.acting.owners import choose_member
from retention.store.alerts import finish
from retention.store.answers import FOLDED, HOLDFAST, OF_INCIDENTS, OPEN, UNFINISHED, Answerable, record_raised
from retention.store.database import digest
from retention.store.tables import ALERTS, INCIDENT_CUSTOMERS, INCIDENTS

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

    from company.policy import Policy
    from retention.acting.incidents import Incident


class Incidents(Answerable):
    """One row per incident: open, then acknowledged, then closed; the alerts of its customers are folded into it."""

    register = OF_INCIDENTS

    def record(
        self,
        found: "Sequence[Incident]",
        *,
        as_of: date,
        at: datetime,
        policy: "Policy",
        clock: Clock = ROUND_THE_CLOCK,
        is_replay: bool = False,
    ) -> tuple[int, int]:
        """Record incidents, and fold the unanswered alerts of their customers into them.

        The same measure and group that rises while its incident is unfinished is that incident: it gets the new
        customers. Returns how many incidents were new, and how many alerts were folded.

        Args:
            found: the incidents of a day.
            as_of: the day.
            at: now; their clocks begin here.
            policy: gives the owners and the working hours to the answer, by grade.
            clock: the company's, and its owners'.
            is_replay: whether the day is replayed, so that nobody is notified by a real channel.
        """
        new = folded = 0
        with self._database.write() as connection:
            for each in found:
                known = self._find_unfinished(connection, each)
                incident_id = known or digest("incident", as_of.isoformat(), each.measure, each.group_name)
                if known is None and not self._is_known(connection, incident_id):
                    asked = _ask(each, policy, as_of=as_of, at=at, clock=clock)
                    values = _row(each) | asked | {"incident_id": incident_id, "is_replay": is_replay}
                    connection.execute(insert(INCIDENTS).values(**values))
                    record_raised(connection, OF_INCIDENTS, [(incident_id, asked["owner"])], at=at)
                    new += 1
                self._add_customers(connection, incident_id, each.customers)
                folded += self._fold(connection, incident_id, at=at)
        return new, folded

    def read(self) -> "pd.DataFrame":
        """Return every incident, the newest first."""
        return self._database.read_frame(select(INCIDENTS).order_by(INCIDENTS.c.raised_at.desc(), INCIDENTS.c.p_value))

    def find(self, *, state: str | None = None) -> "list[RowMapping]":
        """Return the incidents of a state, or those that are not closed, the newest first."""
        is_meant = INCIDENTS.c.state.in_(UNFINISHED) if state is None else INCIDENTS.c.state == state
        order = (INCIDENTS.c.raised_at.desc(), INCIDENTS.c.p_value)
        with self._database.read() as connection:
            return list(connection.execute(select(INCIDENTS).where(is_meant).order_by(*order)).mappings())

    def get(self, incident_id: str) -> "RowMapping":
        """Return an incident by its id."""
        with self._database.read() as connection:
            return connection.execute(select(INCIDENTS).where(INCIDENTS.c.incident_id == incident_id)).mappings().one()

    def customers(self, incident_id: str) -> list[str]:
        """Return the customers of an incident."""
        query = select(INCIDENT_CUSTOMERS.c.customer_id).where(INCIDENT_CUSTOMERS.c.incident_id == incident_id)
        with self._database.read() as connection:
            return sorted(connection.scalars(query))

    def _find_unfinished(self, connection: Connection, incident: "Incident") -> str | None:
        is_same = (INCIDENTS.c.measure == incident.measure) & (INCIDENTS.c.group_name == incident.group_name)
        query = select(INCIDENTS.c.incident_id).where(is_same, INCIDENTS.c.state.in_(UNFINISHED))
        found: str | None = connection.scalar(query)
        return found

    def _is_known(self, connection: Connection, incident_id: str) -> bool:
        return (
            connection.scalar(select(INCIDENTS.c.incident_id).where(INCIDENTS.c.incident_id == incident_id)) is not None
        )

    def _add_customers(self, connection: Connection, incident_id: str, customers: Sequence[str]) -> None:
        is_its = INCIDENT_CUSTOMERS.c.incident_id == incident_id
        known = set(connection.scalars(select(INCIDENT_CUSTOMERS.c.customer_id).where(is_its)))
        rows = [{"incident_id": incident_id, "customer_id": each} for each in sorted(set(customers) - known)]
        if rows:
            connection.execute(insert(INCIDENT_CUSTOMERS), rows)
            count = connection.scalar(select(func.count()).select_from(INCIDENT_CUSTOMERS).where(is_its))
            is_it = INCIDENTS.c.incident_id == incident_id
            connection.execute(update(INCIDENTS).where(is_it).values(count_customers=count))

    def _fold(self, connection: Connection, incident_id: str, *, at: datetime) -> int:
        """Close the alerts of an incident's customers that nobody has taken on; return how many."""
        its = select(INCIDENT_CUSTOMERS.c.customer_id).where(INCIDENT_CUSTOMERS.c.incident_id == incident_id)
        query = select(ALERTS.c.alert_id).where(ALERTS.c.state == OPEN, ALERTS.c.customer_id.in_(its))
        alert_ids = list(connection.scalars(query))
        finish(connection, alert_ids, event=FOLDED, by=HOLDFAST, at=at, incident_id=incident_id)
        return len(alert_ids)


_COPIED = (
    "measure", "group_name", "first_date", "last_date", "count_expected", "ratio", "p_value", "q_value",
    "money_at_risk", "cause_en", "cause_zh", "grade",
)  # fmt: skip


def _row(incident: "Incident") -> dict[str, Any]:
    return {name: getattr(incident, name) for name in _COPIED} | {"count_customers": len(incident.customers)}


def _ask(incident: "Incident", policy: "Policy", *, as_of: date, at: datetime, clock: Clock) -> dict[str, Any]:
    """Return who answers a new incident, and until when: of the first owner of its grade, who is on duty."""
    grade = policy.incidents.grades[incident.grade]
    column, _, value = incident.group_name.partition(": ")
    owner = choose_member(grade.owners[0], {column: value}, policy, load={}, day=as_of)
    span = timedelta(hours=grade.answer_within_hours)
    return {
        "as_of": as_of, "owner": owner, "raised_at": at, "answer_minutes": round(span.total_seconds() / 60),
        "due_at": clock.of(owner).add(at, span), "state": OPEN,
    }  # fmt: skip
