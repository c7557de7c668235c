"""Incidents: one row per rate that rose in a group, its customers, and what became of it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, insert, select, update

from retention.acting.clock import ACKNOWLEDGED, CLOSED, ROUND_THE_CLOCK, Clock
from retention.acting.notices import INCIDENT, Notice, owner_of, read_words
from retention.store.alerts import FEEDBACK, FOLDED, HOLDFAST, OPEN, UNFINISHED, finish
from retention.store.database import Database, digest
from retention.store.tables import ALERTS, INCIDENT_CUSTOMERS, INCIDENTS, OUTBOX

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

    from retention.acting.incidents import Incident
    from retention.store.notices import NoticeWriter


class Incidents:
    """One row per incident: open, then acknowledged, then closed; the alerts of its customers are folded into it."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(
        self,
        found: "Sequence[Incident]",
        *,
        as_of: date,
        at: datetime,
        hours: "dict[str, float]",
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
            hours: working hours to the answer, by grade.
            clock: the company's.
            is_replay: whether the day is replayed, so that nobody is notified by a real channel.
        """
        new = folded = 0
        with self._database.write() as connection:
            for each in found:
                known = self._find_unfinished(connection, each)
                incident_id = known or digest("incident", as_of.isoformat(), each.measure, each.group_name)
                if known is None and not self._is_known(connection, incident_id):
                    minutes = round(hours[each.grade] * 60)
                    values = _row(each) | {"incident_id": incident_id, "as_of": as_of, "raised_at": at, "state": OPEN}
                    values |= {"answer_minutes": minutes, "is_replay": is_replay}
                    values["due_at"] = clock.usual.add(at, timedelta(minutes=minutes))
                    connection.execute(insert(INCIDENTS).values(**values))
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

    def get(self, beginning: str) -> "RowMapping":
        """Return the one incident whose id begins so; raises ValueError when there is none or several."""
        is_it = INCIDENTS.c.incident_id.startswith(beginning, autoescape=True)
        with self._database.read() as connection:
            rows = connection.execute(select(INCIDENTS).where(is_it).limit(2)).mappings().all()
        if len(rows) != 1:
            raise ValueError(
                f"No single incident has an id that begins with {beginning!r}; see `holdfast incidents list`."
            )
        return rows[0]

    def customers(self, incident_id: str) -> list[str]:
        """Return the customers of an incident."""
        query = select(INCIDENT_CUSTOMERS.c.customer_id).where(INCIDENT_CUSTOMERS.c.incident_id == incident_id)
        with self._database.read() as connection:
            return sorted(connection.scalars(query))

    def acknowledge(self, incident_id: str, *, by: str, at: datetime) -> None:
        """Record who takes an incident on; raises ValueError when it is not open."""
        values = {"state": ACKNOWLEDGED, "acknowledged_by": by, "acknowledged_at": at}
        self._move(incident_id, since=(OPEN,), values=values)

    def close(self, incident_id: str, *, by: str, at: datetime, feedback: str, note: str = "") -> None:
        """Close an incident with the feedback of its user; raises ValueError when it is closed already."""
        if feedback not in FEEDBACK:
            raise ValueError(f"{feedback!r} is no feedback on an incident; it is one of {', '.join(FEEDBACK)}.")
        values = {"state": CLOSED, "closed_by": by, "closed_at": at, "feedback": feedback, "note": note}
        self._move(incident_id, since=UNFINISHED, values=values)

    def notify(self, writer: "NoticeWriter") -> int:
        """Write one message per open incident and owner of its grade, once for ever; return how many were new."""
        grades = writer.policy.incidents.grades
        with self._database.write() as connection:
            rows = connection.execute(select(INCIDENTS).where(INCIDENTS.c.state == OPEN)).mappings().all()
            messages = [
                _message(writer, row, owner)
                for row in rows
                if row["grade"] in grades
                for owner in grades[row["grade"]].owners
            ]
            keys = [message["idempotency_key"] for message in messages]
            known = set(connection.scalars(select(OUTBOX.c.idempotency_key).where(OUTBOX.c.idempotency_key.in_(keys))))
            new = [message for message in messages if message["idempotency_key"] not in known]
            if new:
                connection.execute(insert(OUTBOX), new)
        return len(new)

    def _move(self, incident_id: str, *, since: tuple[str, ...], values: dict[str, Any]) -> None:
        is_movable = (INCIDENTS.c.incident_id == incident_id) & INCIDENTS.c.state.in_(since)
        with self._database.write() as connection:
            if connection.execute(update(INCIDENTS).where(is_movable).values(**values)).rowcount != 1:
                raise ValueError(f"The incident {incident_id} is not {' or '.join(since)}; read it for its state.")

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


def _message(writer: "NoticeWriter", row: "RowMapping", owner: str) -> dict[str, Any]:
    language = owner_of(owner, writer.policy).language
    due = row["due_at"].astimezone(ZoneInfo(writer.timezone)).strftime("%Y-%m-%d %H:%M")
    text = read_words()[language]["incident"].format(
        grade=row["grade"], cause=row[f"cause_{language}"], customers=row["count_customers"],
        expected=row["count_expected"], due=due,
    )  # fmt: skip
    notice = Notice(owner=owner, kind=INCIDENT, occasion=row["incident_id"], items=(), is_replay=row["is_replay"])
    return writer.make_row(notice, text)
