"""Alerts: who answers for which customer until when, what became of it, and who was notified of what."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, true, update

from retention.acting.clock import ACKNOWLEDGED, CLOSED, HANDED_OVER, ROUND_THE_CLOCK, SNOOZED, SUPERSEDED, Clock
from retention.store.answers import HOLDFAST, OF_ALERTS, OPEN, UNFINISHED, Answerable, record_raised
from retention.store.database import insert_frame
from retention.store.ledger import chunks
from retention.store.tables import ALERTS

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

OVERDUE = "overdue"
STATES = (OPEN, OVERDUE, ACKNOWLEDGED, SNOOZED, CLOSED)
_FEW = 1_000  # customers that are looked up one by one


class Alerts(Answerable):
    """One row per alert: open, then acknowledged, then closed; what is done with it is added to its events."""

    register = OF_ALERTS
    changing = (*Answerable.changing, "incident_id")

    def record(
        self,
        alerts: "pd.DataFrame",
        *,
        at: datetime,
        quiet: timedelta = timedelta(0),
        clock: Clock = ROUND_THE_CLOCK,
        is_replay: bool = False,
    ) -> int:
        """Record alerts that are not there yet, open and due by the clock from `at` on; return how many were new.

        A customer has one unfinished alert: a new one is left out while one of the same or a higher urgency waits for
        its answer, snoozed ones included, or was closed less than `quiet` ago; it takes the place of a less urgent one.
        Those of a replayed day are marked, so that their owners are notified by no real channel.
        """
        with self._database.write() as connection:
            return record_alerts(connection, alerts, at=at, quiet=quiet, clock=clock, is_replay=is_replay)

    def read(self, as_of: date | None = None) -> "pd.DataFrame":
        """Return the alerts of a day, or all, the newest day and the most money at risk first."""
        query = select(ALERTS).order_by(ALERTS.c.as_of.desc(), ALERTS.c.rank)
        return self._database.read_frame(query if as_of is None else query.where(ALERTS.c.as_of == as_of))

    def read_newest(self, alert_ids: Collection[str], *, limit: int) -> "list[RowMapping]":
        """Return the newest of some alerts."""
        rows: list[RowMapping] = []
        with self._database.read() as connection:
            for part in chunks(sorted(alert_ids)):
                query = select(ALERTS).where(ALERTS.c.alert_id.in_(part)).order_by(ALERTS.c.raised_at.desc())
                rows += connection.execute(query.limit(limit)).mappings()
        return sorted(rows, key=lambda row: row["raised_at"], reverse=True)[:limit]

    def read_overdue(self, *, at: datetime) -> "pd.DataFrame":
        """Return the alerts that nobody has answered and that were due before `at`; snoozed ones wait."""
        is_overdue = (ALERTS.c.due_at < at) & _is_open(at)
        return self._database.read_frame(select(ALERTS).where(is_overdue).order_by(ALERTS.c.due_at))

    def find(self, state: str, *, at: datetime, owner: str | None = None) -> list[str]:
        """Return the ids of the alerts, all or an owner's, that are open, acknowledged, snoozed, closed or overdue."""
        is_in_state = {
            OPEN: _is_open(at),
            ACKNOWLEDGED: and_(ALERTS.c.state == ACKNOWLEDGED, ~_is_snoozed(at)),
            SNOOZED: and_(ALERTS.c.state.in_(UNFINISHED), _is_snoozed(at)),
            CLOSED: ALERTS.c.state == CLOSED,
            OVERDUE: and_(_is_open(at), ALERTS.c.due_at < at),
        }[state]
        is_whose = true() if owner is None else ALERTS.c.owner == owner
        order = (ALERTS.c.priority, ALERTS.c.due_at, ALERTS.c.rank)
        with self._database.read() as connection:
            return list(connection.scalars(select(ALERTS.c.alert_id).where(is_in_state, is_whose).order_by(*order)))

    def read_moved(self, owner: str) -> dict[str, tuple[str, ...]]:
        """Return the customers whose unfinished alert is `owner`'s (`taken_over`), or was handed over to others."""
        events = OF_ALERTS.events
        handed_over = select(OF_ALERTS.event_of).where(events.c.event == HANDED_OVER)
        unfinished = select(ALERTS.c.customer_id).where(ALERTS.c.state.in_(UNFINISHED))
        away = unfinished.where(ALERTS.c.owner != owner, ALERTS.c.alert_id.in_(handed_over))
        with self._database.read() as connection:
            return {
                "taken_over": tuple(connection.scalars(unfinished.where(ALERTS.c.owner == owner))),
                "handed_away": tuple(connection.scalars(away)),
            }

    def read_waiting_customers(self) -> list[str]:
        """Return the customers with an unfinished alert."""
        query = select(ALERTS.c.customer_id).distinct().where(ALERTS.c.state.in_(UNFINISHED))
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def read_load(self) -> dict[str, int]:
        """Return how many unfinished alerts each owner has."""
        query = select(ALERTS.c.owner, func.count()).where(ALERTS.c.state.in_(UNFINISHED)).group_by(ALERTS.c.owner)
        with self._database.read() as connection:
            return {str(owner): int(count) for owner, count in connection.execute(query)}

    def read_answers(self) -> "pd.DataFrame":
        """Return what became of every alert: when a person answered, missed, folded into something else, feedback."""
        columns = (
            "alert_id",
            "as_of",
            "customer_id",
            "level",
            "score",
            "main_reason",
            "owner",
            "is_replay",
            "raised_at",
        )
        is_by_person = ALERTS.c.closed_by != HOLDFAST
        query = select(
            *(ALERTS.c[name] for name in (*columns, "closed_at", "feedback")),
            func.coalesce(ALERTS.c.acknowledged_at, case((is_by_person, ALERTS.c.closed_at))).label("answered_at"),
            ALERTS.c.breached_at.is_not(None).label("is_missed"),
            func.coalesce(~is_by_person, False).label("is_folded"),
        )
        return self._database.read_frame(query.order_by(ALERTS.c.as_of, ALERTS.c.alert_id))


def record_alerts(
    connection: Connection,
    alerts: "pd.DataFrame",
    *,
    at: datetime,
    quiet: timedelta = timedelta(0),
    clock: Clock = ROUND_THE_CLOCK,
    is_replay: bool = False,
) -> int:
    """Record alerts within a transaction, as `Alerts.record` does; return how many were new."""
    import pandas as pd

    minutes = (alerts["respond_within_hours"].astype(float) * 60).round().astype(int)
    rows = alerts.drop(columns="respond_within_hours").assign(
        as_of=pd.to_datetime(alerts["as_of"]).dt.date,
        raised_at=at,
        answer_minutes=minutes,
        due_at=_due_at(alerts["owner"], minutes, at=at, clock=clock),
        is_replay=is_replay,
        state=OPEN,
    )
    new = rows.loc[~rows["alert_id"].isin(_find_known(connection, rows["alert_id"].tolist()))]
    waiting = _read_waiting(connection, closed_since=at - quiet, customers=new["customer_id"].tolist())
    urgency = new["customer_id"].map({row["customer_id"]: row["priority"] for row in waiting})
    new = new.loc[urgency.isna() | (new["priority"] < urgency)]
    customers = set(new["customer_id"])
    insert_frame(connection, ALERTS, new)
    record_raised(connection, OF_ALERTS, zip(new["alert_id"], new["owner"], strict=True), at=at)
    unfinished = (row for row in waiting if row["state"] in UNFINISHED)
    replaced = [row["alert_id"] for row in unfinished if row["customer_id"] in customers]
    finish(connection, replaced, event=SUPERSEDED, by=HOLDFAST, at=at)
    return len(new)


def finish(
    connection: Connection,
    alert_ids: Iterable[str],
    *,
    event: str,
    by: str,
    at: datetime,
    incident_id: str | None = None,
) -> None:
    """Close alerts whose place something else takes: a more urgent one, or an incident."""
    closed = {"state": CLOSED, "closed_by": by, "closed_at": at, "incident_id": incident_id}
    ids = list(alert_ids)
    for part in chunks(ids):
        connection.execute(update(ALERTS).where(ALERTS.c.alert_id.in_(part)).values(**closed))
    events = [OF_ALERTS.event(alert_id, event, by=by, at=at, note=incident_id) for alert_id in ids]
    OF_ALERTS.add_events(connection, events)


def _due_at(owners: "Iterable[str]", minutes: "Iterable[int]", *, at: datetime, clock: Clock) -> list[datetime]:
    known: dict[tuple[str, int], datetime] = {}
    found = []
    for key in zip(owners, minutes, strict=True):
        if key not in known:
            known[key] = clock.of(key[0]).add(at, timedelta(minutes=int(key[1])))
        found.append(known[key])
    return found


def _is_snoozed(at: datetime) -> ColumnElement[bool]:
    return and_(ALERTS.c.snoozed_until.is_not(None), ALERTS.c.snoozed_until > at)


def _is_open(at: datetime) -> ColumnElement[bool]:
    return and_(ALERTS.c.state == OPEN, or_(ALERTS.c.snoozed_until.is_(None), ALERTS.c.snoozed_until <= at))


def _find_known(connection: Connection, alert_ids: list[str]) -> set[str]:
    known: set[str] = set()
    for part in chunks(alert_ids):
        known |= set(connection.scalars(select(ALERTS.c.alert_id).where(ALERTS.c.alert_id.in_(part))))
    return known


def _read_waiting(connection: Connection, *, closed_since: datetime, customers: list[str]) -> "Sequence[RowMapping]":
    """Return the alerts of customers that wait or have just been closed, the most urgent of each customer last."""
    counts = ALERTS.c.state.in_(UNFINISHED) | and_(ALERTS.c.closed_at > closed_since, ALERTS.c.closed_by != HOLDFAST)
    query = select(ALERTS.c.alert_id, ALERTS.c.customer_id, ALERTS.c.priority, ALERTS.c.state).where(counts)
    if len(customers) <= _FEW:  # as the event lane raises them, by the second
        query = query.where(ALERTS.c.customer_id.in_(customers))
    return connection.execute(query.order_by(ALERTS.c.priority.desc())).mappings().all()
