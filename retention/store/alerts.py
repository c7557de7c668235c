"""Alerts: who answers for which customer until when, what became of it, and who was notified of what."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from retention.acting.clock import (
    ACKNOWLEDGED,
    ANSWER,
    ANSWERS,
    CLOSED,
    HANDED_OVER,
    PAUSED,
    RAISED,
    RESUMED,
    ROUND_THE_CLOCK,
    SNOOZED,
    STEP_DONE,
    SUPERSEDED,
    Clock,
    Deadline,
    Event,
)
from retention.acting.notices import DIGEST, AlertLog, Look, Notified
from retention.store.database import Database, insert_frame, lock_claims, next_number
from retention.store.ledger import INTERNAL, chunks
from retention.store.notices import owner_in
from retention.store.tables import ALERT_EVENTS, ALERT_LOOKS, ALERTS, OUTBOX

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

OPEN = "open"
UNFINISHED = (OPEN, ACKNOWLEDGED)
FOLDED = "folded"
NOTIFIED, SILENCED, BREACHED = "notified", "silenced", "breached"
FEEDBACK = ("useful", "wrong", "already_known")
HOLDFAST = "holdfast"  # who raises an alert, notifies of it, and closes one that a more urgent one replaces
OVERDUE = "overdue"
STATES = (OPEN, OVERDUE, ACKNOWLEDGED, SNOOZED, CLOSED)
_MOST_VARIABLES = 10_000
_MARGIN = timedelta(hours=1)  # by which a closing may have been committed after the look that it precedes
_UNSEEN = timedelta(days=30)  # closed alerts that the first look of all reads

Decide = Callable[[Sequence[AlertLog], Notified], Look]
Write = Callable[[Connection, Look, "Mapping[str, RowMapping]"], "Sequence[Mapping[str, Any]]"]


class Alerts:
    """One row per alert: open, then acknowledged, then closed; what is done with it is added to its events."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

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
        with self._database.write() as connection:
            new = rows.loc[~rows["alert_id"].isin(_find_known(connection, rows["as_of"].unique().tolist()))]
            waiting = _read_waiting(connection, closed_since=at - quiet)
            urgency = new["customer_id"].map({row["customer_id"]: row["priority"] for row in waiting})
            new = new.loc[urgency.isna() | (new["priority"] < urgency)]
            customers = set(new["customer_id"])
            insert_frame(connection, ALERTS, new)
            pairs = zip(new["alert_id"], new["owner"], strict=True)
            raised = [_event(alert_id, RAISED, by=HOLDFAST, at=at, owner=owner) for alert_id, owner in pairs]
            _add_events(connection, raised)
            unfinished = (row for row in waiting if row["state"] in UNFINISHED)
            replaced = [row["alert_id"] for row in unfinished if row["customer_id"] in customers]
            finish(connection, replaced, event=SUPERSEDED, by=HOLDFAST, at=at)
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
            OVERDUE: and_(_is_open(at), ALERTS.c.due_at < at),
        }[state]
        order = (ALERTS.c.priority, ALERTS.c.due_at, ALERTS.c.rank)
        with self._database.read() as connection:
            return list(connection.scalars(select(ALERTS.c.alert_id).where(is_in_state).order_by(*order)))

    def resolve(self, beginning: str) -> str:
        """Return the id of the one alert whose id begins so; raises ValueError when there is none or several."""
        query = select(ALERTS.c.alert_id).where(ALERTS.c.alert_id.startswith(beginning, autoescape=True)).limit(2)
        with self._database.read() as connection:
            found = list(connection.scalars(query))
        if len(found) != 1:
            count = "No alert has" if not found else "Several alerts have"
            raise ValueError(f"{count} an id that begins with {beginning!r}; `holdfast alerts list` shows the ids.")
        return str(found[0])

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

    def read_log(self, alert_id: str) -> AlertLog:
        """Return an alert with its log; raises ValueError when there is no such alert."""
        with self._database.read() as connection:
            found = _read_logs(connection, ALERTS.c.alert_id == alert_id)
        if not found:
            raise ValueError(f"There is no alert {alert_id}; `holdfast alerts list` shows those that wait.")
        return found[0]

    def read_load(self) -> dict[str, int]:
        """Return how many unfinished alerts each owner has."""
        query = select(ALERTS.c.owner, func.count()).where(ALERTS.c.state.in_(UNFINISHED)).group_by(ALERTS.c.owner)
        with self._database.read() as connection:
            return {str(owner): int(count) for owner, count in connection.execute(query)}

    def read_feedback(self) -> "pd.DataFrame":
        """Return what users thought of alerts: one row per closed alert with its score, level, reason and feedback."""
        columns = ("alert_id", "as_of", "customer_id", "level", "score", "probability", "main_reason", "owner")
        times = ("raised_at", "acknowledged_at", "closed_at", "breached_at", "closed_by", "feedback")
        query = select(*(ALERTS.c[name] for name in (*columns, *times))).where(ALERTS.c.feedback.is_not(None))
        return self._database.read_frame(query.order_by(ALERTS.c.as_of, ALERTS.c.alert_id))

    def read_looks(self, *, since: datetime) -> "list[RowMapping]":
        """Return the looks since a moment, the newest first."""
        query = select(ALERT_LOOKS).where(ALERT_LOOKS.c.looked_at >= since).order_by(ALERT_LOOKS.c.number.desc())
        with self._database.read() as connection:
            return list(connection.execute(query).mappings())

    def acknowledge(self, alert_id: str, *, by: str, at: datetime, clock: Clock = ROUND_THE_CLOCK) -> None:
        """Record who takes an alert on; raises ValueError when it is not open."""
        values = {"state": ACKNOWLEDGED, "acknowledged_by": by, "acknowledged_at": at}
        self._move(alert_id, since=(OPEN,), values=values, clock=clock, event=ACKNOWLEDGED, by=by, at=at)

    def snooze(
        self, alert_id: str, *, by: str, at: datetime, until: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Put an alert off, its clock standing; raises ValueError when it is closed or the moment has passed."""
        if until <= at:
            raise ValueError(f"The alert {alert_id} cannot be put off until {until}, which has passed.")
        event: dict[str, Any] = {"event": SNOOZED, "note": note or None, "snoozed_until": until}
        values = {"snoozed_until": until}
        self._move(alert_id, since=UNFINISHED, values=values, clock=clock, by=by, at=at, **event)

    def hand_over(
        self, alert_id: str, *, to: str, by: str, at: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Give an alert to another owner, by whose calendar its clock runs on; raises ValueError when it is closed."""
        event: dict[str, Any] = {"event": HANDED_OVER, "note": note or None, "owner": to}
        self._move(alert_id, since=UNFINISHED, values={"owner": to}, clock=clock, by=by, at=at, **event)

    def pause(self, alert_id: str, *, by: str, at: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK) -> None:
        """Stop an alert's clock, such as while the customer has the word; raises ValueError when it is closed."""
        event: dict[str, Any] = {"event": PAUSED, "note": note or None}
        self._move(alert_id, since=UNFINISHED, values={}, clock=clock, by=by, at=at, **event)

    def resume(self, alert_id: str, *, by: str, at: datetime, clock: Clock = ROUND_THE_CLOCK) -> None:
        """Let an alert's clock run on; raises ValueError when it is closed."""
        self._move(alert_id, since=UNFINISHED, values={}, clock=clock, by=by, at=at, event=RESUMED)

    def finish_step(
        self, alert_id: str, *, step: str, by: str, at: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Record that a step of the response is done; raises ValueError when the alert was not taken on."""
        event: dict[str, Any] = {"event": STEP_DONE, "note": note or None, "deadline": step}
        self._move(alert_id, since=(ACKNOWLEDGED,), values={}, clock=clock, by=by, at=at, **event)

    def close(
        self, alert_id: str, *, by: str, at: datetime, feedback: str, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Close an alert with the feedback of its user; raises ValueError when it is closed already."""
        if feedback not in FEEDBACK:
            raise ValueError(f"{feedback!r} is no feedback on an alert; it is one of {', '.join(FEEDBACK)}.")
        values = {"state": CLOSED, "closed_by": by, "closed_at": at, "feedback": feedback, "note": note}
        event: dict[str, Any] = {"event": CLOSED, "feedback": feedback, "note": note or None}
        self._move(alert_id, since=UNFINISHED, values=values, clock=clock, by=by, at=at, **event)

    def look(self, decide: Decide, write: Write, *, at: datetime, today: date, cooldown: timedelta) -> Look:
        """Look at the clocks of all alerts, and record what was found in one transaction: exactly once, whoever looks.

        Args:
            decide: returns what is due, from the alerts that wait or have just been closed and earlier notices.
            write: writes the messages of a look into the outbox, given the rows of the alerts.
            at: now.
            today: the company's day.
            cooldown: how long a customer and reason count as notified.
        """
        with self._database.write() as connection:
            lock_claims(connection)
            former = connection.scalar(select(func.max(ALERT_LOOKS.c.looked_at)))
            since = at - _UNSEEN if former is None else former - _MARGIN
            alerts = _read_logs(connection, ALERTS.c.state.in_(UNFINISHED) | (ALERTS.c.closed_at >= since))
            found = decide(alerts, _read_notified(connection, today=today, since=at - cooldown))
            messages = write(connection, found, {alert.alert_id: alert.row for alert in alerts})  # type: ignore[misc]
            _record_look(connection, found, messages, at=at)
            values = {"looked_at": at, "count_alerts": len(alerts), "count_notices": len(messages)}
            values |= {"number": next_number(connection, ALERT_LOOKS), "count_breaches": len(found.breaches)}
            connection.execute(insert(ALERT_LOOKS).values(**values))
        return found

    def _move(
        self,
        alert_id: str,
        *,
        since: tuple[str, ...],
        values: dict[str, Any],
        clock: Clock,
        by: str,
        at: datetime,
        event: str,
        **about: Any,  # noqa: ANN401 - columns of the event
    ) -> None:
        """Change an alert, add the event, and measure anew when its answer is due, in one transaction."""
        is_it = ALERTS.c.alert_id == alert_id
        with self._database.write() as connection:
            moved = {"state": ALERTS.c.state, **values}
            if connection.execute(update(ALERTS).where(is_it, ALERTS.c.state.in_(since)).values(**moved)).rowcount != 1:
                wanted = " or ".join(since)
                raise ValueError(f"The alert {alert_id} is not {wanted}; read the alerts for its state.")
            _add_events(connection, [_event(alert_id, event, by=by, at=at, **about)])
            (alert,) = _read_logs(connection, is_it)
            answer = Deadline(name=ANSWER, kind=ANSWER, span=alert.answer, ends=ANSWERS)
            due_at = clock.measure(alert.log, answer).due_at
            connection.execute(update(ALERTS).where(is_it).values(due_at=due_at))


_CHANGING = (
    "state", "raised_at", "due_at", "breached_at", "owner", "acknowledged_by", "acknowledged_at", "closed_by",
    "closed_at", "feedback", "note", "snoozed_until", "incident_id",
)  # fmt: skip


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
    _add_events(connection, [_event(alert_id, event, by=by, at=at, note=incident_id) for alert_id in ids])


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


def _find_known(connection: Connection, days: list[date]) -> set[str]:
    return set(connection.scalars(select(ALERTS.c.alert_id).where(ALERTS.c.as_of.in_(days))))


def _read_waiting(connection: Connection, *, closed_since: datetime) -> "Sequence[RowMapping]":
    """Return the alerts that wait or have just been closed, the most urgent of each customer last."""
    counts = ALERTS.c.state.in_(UNFINISHED) | and_(ALERTS.c.closed_at > closed_since, ALERTS.c.closed_by != HOLDFAST)
    query = select(ALERTS.c.alert_id, ALERTS.c.customer_id, ALERTS.c.priority, ALERTS.c.state).where(counts)
    return connection.execute(query.order_by(ALERTS.c.priority.desc())).mappings().all()


def _read_logs(connection: Connection, condition: ColumnElement[bool]) -> list[AlertLog]:
    """Return alerts with what was done with each; those of earlier releases have no event that they were raised."""
    rows = connection.execute(select(ALERTS).where(condition)).mappings().all()
    events: dict[str, list[RowMapping]] = {row["alert_id"]: [] for row in rows}
    for part in chunks(list(events)):
        query = select(ALERT_EVENTS).where(ALERT_EVENTS.c.alert_id.in_(part)).order_by(ALERT_EVENTS.c.number)
        for event in connection.execute(query).mappings():
            events[event["alert_id"]].append(event)
    return [_make_log(row, events[row["alert_id"]]) for row in rows]


def _make_log(row: "RowMapping", events: "Sequence[RowMapping]") -> AlertLog:
    done = [event for event in events if event["event"] not in {NOTIFIED, SILENCED, BREACHED}]
    if not done or done[0]["event"] != RAISED:
        raised = Event(event=RAISED, at=row["raised_at"], owner=row["owner"])
    else:
        raised, done = _read_event(done[0]), done[1:]
    return AlertLog(
        row=row,
        log=(raised, *map(_read_event, done)),
        notified=frozenset(event["deadline"] for event in events if event["event"] in {NOTIFIED, SILENCED}),
        breached=frozenset(event["deadline"] for event in events if event["event"] == BREACHED),
        is_finished=row["state"] == CLOSED,
    )


def _read_event(event: "RowMapping") -> Event:
    name = CLOSED if event["event"] == FOLDED else event["event"]
    return Event(
        event=name, at=event["done_at"], owner=event["owner"], until=event["snoozed_until"], step=event["deadline"]
    )


def _read_notified(connection: Connection, *, today: date, since: datetime) -> Notified:
    is_today = (OUTBOX.c.purpose == INTERNAL) & (OUTBOX.c.as_of == today)
    counted = select(OUTBOX.c.customer_id, OUTBOX.c.strategy_id, func.count()).where(is_today)
    sent: dict[str, int] = {}
    digested = set()
    for address, kind, count in connection.execute(counted.group_by(OUTBOX.c.customer_id, OUTBOX.c.strategy_id)):
        owner = owner_in(address)
        if kind == DIGEST:
            digested.add(owner)
        else:
            sent[owner] = sent.get(owner, 0) + count
    return Notified(today=sent, digested=frozenset(digested), causes=_read_causes(connection, since=since))


def _read_causes(connection: Connection, *, since: datetime) -> dict[tuple[str, str | None], int]:
    is_notified = (
        (ALERT_EVENTS.c.event == NOTIFIED) & (ALERT_EVENTS.c.deadline == RAISED) & (ALERT_EVENTS.c.done_at >= since)
    )
    cause = (ALERTS.c.customer_id, ALERTS.c.main_reason)
    query = select(*cause, func.min(ALERTS.c.priority)).select_from(
        ALERT_EVENTS.join(ALERTS, ALERT_EVENTS.c.alert_id == ALERTS.c.alert_id)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(query.where(is_notified).group_by(*cause))}


def _record_look(connection: Connection, found: Look, messages: "Sequence[Mapping[str, Any]]", *, at: datetime) -> None:
    events = [
        _event(
            alert_id, NOTIFIED, by=HOLDFAST, at=at, owner=notice.owner, deadline=deadline,
            message_key=message["idempotency_key"],
        )
        for notice, message in zip(found.notices, messages, strict=True)
        for alert_id, deadline in notice.items
    ]  # fmt: skip
    events += [
        _event(alert_id, SILENCED, by=HOLDFAST, at=at, deadline=deadline, note=why)
        for alert_id, deadline, why in found.silenced
    ]
    events += [
        _event(each.alert_id, BREACHED, by=HOLDFAST, at=each.due_at, deadline=each.deadline) for each in found.breaches
    ]
    _add_events(connection, events)
    for each in found.breaches:
        if each.kind == ANSWER:
            is_it = ALERTS.c.alert_id == each.alert_id
            connection.execute(update(ALERTS).where(is_it).values(breached_at=each.due_at))


def _event(alert_id: str, event: str, *, by: str, at: datetime, **about: object) -> dict[str, Any]:
    absent = dict.fromkeys(("feedback", "note", "snoozed_until", "owner", "deadline", "message_key"))
    return {**absent, "alert_id": alert_id, "event": event, "done_by": by, "done_at": at, **about}


def _add_events(connection: Connection, events: Sequence[Mapping[str, Any]]) -> None:
    if events:
        first = next_number(connection, ALERT_EVENTS)
        numbered = [{**event, "number": number} for number, event in enumerate(events, start=first)]
        connection.execute(insert(ALERT_EVENTS), numbered)
