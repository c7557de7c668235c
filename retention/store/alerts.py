"""Alerts: who answers for which customer, and what became of it."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from retention.store.database import Database, insert_frame, next_number
from retention.store.tables import ALERT_EVENTS, ALERTS

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

OPEN, ACKNOWLEDGED, CLOSED = "open", "acknowledged", "closed"
UNFINISHED = (OPEN, ACKNOWLEDGED)
SNOOZED, SUPERSEDED = "snoozed", "superseded"
FEEDBACK = ("useful", "wrong", "already_known")
HOLDFAST = "holdfast"  # who closes an alert that a more urgent one replaces
_MOST_VARIABLES = 10_000


class Alerts:
    """One row per alert: open, then acknowledged, then closed; what is done with it is added to its events."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, alerts: "pd.DataFrame", *, at: datetime, quiet: timedelta = timedelta(0)) -> int:
        """Record alerts that are not there yet, open and due counted from `at`; return how many were new.

        A customer has one unfinished alert: a new one is left out while one of the same or a higher urgency waits for
        its answer, snoozed ones included, or was closed less than `quiet` ago; it takes the place of a less urgent one.
        """
        import pandas as pd

        hours = pd.to_timedelta(alerts["respond_within_hours"].astype(float), unit="h")
        rows = alerts.drop(columns="respond_within_hours").assign(
            as_of=pd.to_datetime(alerts["as_of"]).dt.date,
            raised_at=at,
            due_at=[at + hour.to_pytimedelta() for hour in hours],
            state=OPEN,
        )
        with self._database.write() as connection:
            new = rows.loc[~rows["alert_id"].isin(_find_known(connection, rows["as_of"].unique().tolist()))]
            waiting = _read_waiting(connection, closed_since=at - quiet)
            urgency = new["customer_id"].map({row["customer_id"]: row["priority"] for row in waiting})
            new = new.loc[urgency.isna() | (new["priority"] < urgency)]
            customers = set(new["customer_id"])
            insert_frame(connection, ALERTS, new)
            unfinished = (row for row in waiting if row["state"] in UNFINISHED)
            replaced = [row["alert_id"] for row in unfinished if row["customer_id"] in customers]
            _finish(connection, replaced, event=SUPERSEDED, by=HOLDFAST, at=at)
        return len(new)

    def read(self, as_of: date | None = None) -> "pd.DataFrame":
        """Return the alerts of a day, or all, the newest day and the most money at risk first."""
        query = select(ALERTS).order_by(ALERTS.c.as_of.desc(), ALERTS.c.rank)
        return self._database.read_frame(query if as_of is None else query.where(ALERTS.c.as_of == as_of))

    def read_overdue(self, *, at: datetime) -> "pd.DataFrame":
        """Return the alerts that nobody has answered and that were due before `at`; snoozed ones wait."""
        is_overdue = (ALERTS.c.due_at < at) & _is_open(at)
        return self._database.read_frame(select(ALERTS).where(is_overdue).order_by(ALERTS.c.due_at))

    def find(self, state: str, *, at: datetime) -> list[str]:
        """Return the ids of the alerts that are open, acknowledged, snoozed, closed or overdue at a moment."""
        is_in_state = {
            OPEN: _is_open(at),
            ACKNOWLEDGED: and_(ALERTS.c.state == ACKNOWLEDGED, ~_is_snoozed(at)),
            SNOOZED: and_(ALERTS.c.state.in_(UNFINISHED), _is_snoozed(at)),
            CLOSED: ALERTS.c.state == CLOSED,
            "overdue": and_(_is_open(at), ALERTS.c.due_at < at),
        }[state]
        with self._database.read() as connection:
            return list(connection.scalars(select(ALERTS.c.alert_id).where(is_in_state)))

    def states(self, alert_ids: Collection[str]) -> "dict[str, RowMapping]":
        """Return by alert what changes about it: state, due moment, who did what, feedback, note, snooze."""
        columns = (ALERTS.c.alert_id, *(ALERTS.c[name] for name in _CHANGING))
        query = select(*columns).where(ALERTS.c.alert_id.in_(list(alert_ids)[:_MOST_VARIABLES]))
        with self._database.read() as connection:
            return {row["alert_id"]: row for row in connection.execute(query).mappings()}

    def read_events(self, alert_ids: Collection[str]) -> "list[RowMapping]":
        """Return what was done with alerts, the newest first."""
        query = select(ALERT_EVENTS).where(ALERT_EVENTS.c.alert_id.in_(list(alert_ids)))
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(ALERT_EVENTS.c.number.desc())).mappings())

    def acknowledge(self, alert_id: str, *, by: str, at: datetime) -> None:
        """Record who takes an alert on; raises ValueError when it is not open."""
        values = {"state": ACKNOWLEDGED, "acknowledged_by": by, "acknowledged_at": at}
        self._move(alert_id, since=(OPEN,), values=values, event=ACKNOWLEDGED, by=by, at=at)

    def snooze(self, alert_id: str, *, by: str, at: datetime, until: datetime, note: str = "") -> None:
        """Put an alert off; raises ValueError when it is closed or the moment has passed."""
        if until <= at:
            raise ValueError(f"The alert {alert_id} cannot be put off until {until}, which has passed.")
        event = {"event": SNOOZED, "note": note or None, "snoozed_until": until}
        self._move(alert_id, since=UNFINISHED, values={"snoozed_until": until}, by=by, at=at, **event)

    def close(self, alert_id: str, *, by: str, at: datetime, feedback: str, note: str = "") -> None:
        """Close an alert with the feedback of its user; raises ValueError when it is closed already."""
        if feedback not in FEEDBACK:
            raise ValueError(f"{feedback!r} is no feedback on an alert; it is one of {', '.join(FEEDBACK)}.")
        values = {"state": CLOSED, "closed_by": by, "closed_at": at, "feedback": feedback, "note": note}
        event = {"event": CLOSED, "feedback": feedback, "note": note or None}
        self._move(alert_id, since=UNFINISHED, values=values, by=by, at=at, **event)

    def _move(
        self, alert_id: str, *, since: tuple[str, ...], values: dict[str, Any], by: str, at: datetime, **event: object
    ) -> None:
        is_movable = (ALERTS.c.alert_id == alert_id) & ALERTS.c.state.in_(since)
        with self._database.write() as connection:
            if connection.execute(update(ALERTS).where(is_movable).values(**values)).rowcount != 1:
                wanted = " or ".join(since)
                raise ValueError(f"The alert {alert_id} is not {wanted}; read the alerts for its state.")
            _add_event(connection, alert_id=alert_id, done_by=by, done_at=at, **event)


_CHANGING = (
    "state", "raised_at", "due_at", "owner", "acknowledged_by", "acknowledged_at", "closed_by", "closed_at", "feedback",
    "note", "snoozed_until",
)  # fmt: skip


def _is_snoozed(at: datetime) -> ColumnElement[bool]:
    return and_(ALERTS.c.snoozed_until.is_not(None), ALERTS.c.snoozed_until > at)


def _is_open(at: datetime) -> ColumnElement[bool]:
    return and_(ALERTS.c.state == OPEN, or_(ALERTS.c.snoozed_until.is_(None), ALERTS.c.snoozed_until <= at))


def _find_known(connection: Connection, days: list[date]) -> set[str]:
    return set(connection.scalars(select(ALERTS.c.alert_id).where(ALERTS.c.as_of.in_(days))))


def _read_waiting(connection: Connection, *, closed_since: datetime) -> "Sequence[RowMapping]":
    """Return the alerts that wait or have just been closed, the most urgent of each customer last."""
    counts = ALERTS.c.state.in_(UNFINISHED) | and_(ALERTS.c.closed_at > closed_since, ALERTS.c.closed_by != HOLDFAST)
    query = select(ALERTS.c.alert_id, ALERTS.c.customer_id, ALERTS.c.priority, ALERTS.c.state).where(counts)
    return connection.execute(query.order_by(ALERTS.c.priority.desc())).mappings().all()


def _finish(connection: Connection, alert_ids: list[str], *, event: str, by: str, at: datetime) -> None:
    for alert_id in alert_ids:
        closed = {"state": CLOSED, "closed_by": by, "closed_at": at}
        connection.execute(update(ALERTS).where(ALERTS.c.alert_id == alert_id).values(**closed))
        _add_event(connection, alert_id=alert_id, event=event, done_by=by, done_at=at)


def _add_event(connection: Connection, **values: object) -> None:
    connection.execute(insert(ALERT_EVENTS).values(number=next_number(connection, ALERT_EVENTS), **values))
