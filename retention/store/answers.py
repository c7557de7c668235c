"""Answers to alerts and incidents: one way to move either, each answer an event, its due moment measured anew."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Column, ColumnElement, Connection, Table, insert, select, update

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
    Clock,
    Deadline,
    Event,
)
from retention.acting.watched import AlertLog, IncidentLog, Watched
from retention.store.database import Database, next_number
from retention.store.ledger import chunks
from retention.store.tables import ALERT_EVENTS, ALERTS, INCIDENT_EVENTS, INCIDENTS

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

OPEN = "open"
UNFINISHED = (OPEN, ACKNOWLEDGED)
FOLDED = "folded"
NOTIFIED, SILENCED, BREACHED = "notified", "silenced", "breached"
FEEDBACK = ("useful", "wrong", "already_known")
HOLDFAST = "holdfast"  # who raises, notifies, and closes what something else takes the place of
_MOST_VARIABLES = 10_000
_ABOUT = ("feedback", "note", "snoozed_until", "owner", "deadline", "message_key")


@dataclass(frozen=True, kw_only=True)
class Register:
    """Where one kind of thing that has a clock is kept: its rows, and the events of each."""

    rows: Table
    events: Table
    log: type[Watched]

    @property
    def noun(self) -> str:
        """The word for one of them."""
        return self.log.kind

    @property
    def id(self) -> Column[Any]:
        """The column of the rows that identifies one."""
        return self.rows.c[f"{self.noun}_id"]

    @property
    def event_of(self) -> Column[Any]:
        """The column of the events with whose event it is."""
        return self.events.c[f"{self.noun}_id"]

    def event(self, its_id: str, event: str, *, by: str, at: datetime, **about: object) -> dict[str, Any]:
        """Return a new event."""
        absent = dict.fromkeys(_ABOUT)
        return {**absent, self.event_of.name: its_id, "event": event, "done_by": by, "done_at": at, **about}

    def add_events(self, connection: Connection, events: Sequence[Mapping[str, Any]]) -> None:
        """Add events behind those that are there."""
        if events:
            first = next_number(connection, self.events)
            numbered = [{**event, "number": number} for number, event in enumerate(events, start=first)]
            connection.execute(insert(self.events), numbered)

    def read_logs(self, connection: Connection, condition: ColumnElement[bool]) -> list[Watched]:
        """Return what meets a condition on its row, with what was done with each."""
        rows = connection.execute(select(self.rows).where(condition)).mappings().all()
        events: dict[str, list[RowMapping]] = {row[self.id.name]: [] for row in rows}
        for part in chunks(list(events)):
            query = select(self.events).where(self.event_of.in_(part)).order_by(self.events.c.number)
            for event in connection.execute(query).mappings():
                events[event[self.event_of.name]].append(event)
        return [self._make_log(row, events[row[self.id.name]]) for row in rows]

    def _make_log(self, row: "RowMapping", events: "Sequence[RowMapping]") -> Watched:
        """Return one with its log; those of earlier releases have no event that they were raised."""
        done = [event for event in events if event["event"] not in {NOTIFIED, SILENCED, BREACHED}]
        if not done or done[0]["event"] != RAISED:
            raised = Event(event=RAISED, at=row["raised_at"], owner=row["owner"])
        else:
            raised, done = _read_event(done[0]), done[1:]
        return self.log(
            row=row,
            log=(raised, *map(_read_event, done)),
            notified=frozenset(event["deadline"] for event in events if event["event"] in {NOTIFIED, SILENCED}),
            breached=frozenset(event["deadline"] for event in events if event["event"] == BREACHED),
            is_finished=row["state"] == CLOSED,
        )


OF_ALERTS = Register(rows=ALERTS, events=ALERT_EVENTS, log=AlertLog)
OF_INCIDENTS = Register(rows=INCIDENTS, events=INCIDENT_EVENTS, log=IncidentLog)


def _read_event(event: "RowMapping") -> Event:
    name = CLOSED if event["event"] == FOLDED else event["event"]
    return Event(
        event=name, at=event["done_at"], owner=event["owner"], until=event["snoozed_until"], step=event["deadline"]
    )


class Answerable:
    """What is open, then acknowledged, then closed; everything that is done with it is added to its events."""

    register: ClassVar[Register]
    changing: ClassVar[tuple[str, ...]] = (
        "state", "raised_at", "due_at", "breached_at", "owner", "acknowledged_by", "acknowledged_at", "closed_by",
        "closed_at", "feedback", "note", "snoozed_until",
    )  # fmt: skip

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    @property
    def noun(self) -> str:
        """The word for one of them."""
        return self.register.noun

    def resolve(self, beginning: str) -> str:
        """Return the id of the one that begins so; raises ValueError when there is none or several."""
        id_, noun = self.register.id, self.noun
        query = select(id_).where(id_.startswith(beginning, autoescape=True)).limit(2)
        with self._database.read() as connection:
            found = list(connection.scalars(query))
        if len(found) != 1:
            count = f"Several {noun}s have" if found else f"No {noun} has"
            raise ValueError(f"{count} an id that begins with {beginning!r}; `holdfast {noun}s list` shows the ids.")
        return str(found[0])

    def states(self, ids: Collection[str]) -> "dict[str, RowMapping]":
        """Return by id what changes about each: state, due moment, who did what, feedback, note, snooze."""
        if len(ids) == 0:
            return {}
        id_ = self.register.id
        columns = (id_, *(self.register.rows.c[name] for name in self.changing))
        query = select(*columns).where(id_.in_(list(ids)[:_MOST_VARIABLES]))
        with self._database.read() as connection:
            return {row[id_.name]: row for row in connection.execute(query).mappings()}

    def read_events(self, ids: Collection[str]) -> "list[RowMapping]":
        """Return what was done with some, the newest first."""
        if len(ids) == 0:
            return []
        query = select(self.register.events).where(self.register.event_of.in_(list(ids)))
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(self.register.events.c.number.desc())).mappings())

    def read_log(self, its_id: str) -> Watched:
        """Return one with its log; raises ValueError when there is none."""
        with self._database.read() as connection:
            found = self.register.read_logs(connection, self.register.id == its_id)
        if not found:
            raise ValueError(f"There is no {self.noun} {its_id}; `holdfast {self.noun}s list` shows those that wait.")
        return found[0]

    def read_logs(self, ids: Collection[str]) -> dict[str, Watched]:
        """Return those of some that there are with their logs, by id."""
        if len(ids) == 0:
            return {}
        with self._database.read() as connection:
            found = self.register.read_logs(connection, self.register.id.in_(list(ids)[:_MOST_VARIABLES]))
        return {str(each.row[self.register.id.name]): each for each in found}

    def acknowledge(self, its_id: str, *, by: str, at: datetime, clock: Clock = ROUND_THE_CLOCK) -> None:
        """Record who takes it on; raises ValueError when it is not open."""
        values = {"state": ACKNOWLEDGED, "acknowledged_by": by, "acknowledged_at": at}
        self._move(its_id, since=(OPEN,), values=values, clock=clock, event=ACKNOWLEDGED, by=by, at=at)

    def snooze(
        self, its_id: str, *, by: str, at: datetime, until: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Put it off, its clock standing; raises ValueError when it is closed or the moment has passed."""
        if until <= at:
            raise ValueError(f"The {self.noun} {its_id} cannot be put off until {until}, which has passed.")
        event: dict[str, Any] = {"event": SNOOZED, "note": note or None, "snoozed_until": until}
        values = {"snoozed_until": until}
        self._move(its_id, since=UNFINISHED, values=values, clock=clock, by=by, at=at, **event)

    def hand_over(
        self, its_id: str, *, to: str, by: str, at: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Give it to another owner, by whose calendar its clock runs on; raises ValueError when it is closed."""
        event: dict[str, Any] = {"event": HANDED_OVER, "note": note or None, "owner": to}
        self._move(its_id, since=UNFINISHED, values={"owner": to}, clock=clock, by=by, at=at, **event)

    def pause(self, its_id: str, *, by: str, at: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK) -> None:
        """Stop its clock, such as while the customer has the word; raises ValueError when it is closed."""
        event: dict[str, Any] = {"event": PAUSED, "note": note or None}
        self._move(its_id, since=UNFINISHED, values={}, clock=clock, by=by, at=at, **event)

    def resume(self, its_id: str, *, by: str, at: datetime, clock: Clock = ROUND_THE_CLOCK) -> None:
        """Let its clock run on; raises ValueError when it is closed."""
        self._move(its_id, since=UNFINISHED, values={}, clock=clock, by=by, at=at, event=RESUMED)

    def finish_step(
        self, its_id: str, *, step: str, by: str, at: datetime, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Record that a step of the response is done; raises ValueError when it was not taken on."""
        event: dict[str, Any] = {"event": STEP_DONE, "note": note or None, "deadline": step}
        self._move(its_id, since=(ACKNOWLEDGED,), values={}, clock=clock, by=by, at=at, **event)

    def close(
        self, its_id: str, *, by: str, at: datetime, feedback: str, note: str = "", clock: Clock = ROUND_THE_CLOCK
    ) -> None:
        """Close it with the feedback of its user; raises ValueError when it is closed already."""
        if feedback not in FEEDBACK:
            raise ValueError(f"{feedback!r} is no feedback on an {self.noun}; it is one of {', '.join(FEEDBACK)}.")
        values = {"state": CLOSED, "closed_by": by, "closed_at": at, "feedback": feedback, "note": note}
        event: dict[str, Any] = {"event": CLOSED, "feedback": feedback, "note": note or None}
        self._move(its_id, since=UNFINISHED, values=values, clock=clock, by=by, at=at, **event)

    def _move(
        self,
        its_id: str,
        *,
        since: tuple[str, ...],
        values: dict[str, Any],
        clock: Clock,
        by: str,
        at: datetime,
        event: str,
        **about: Any,  # noqa: ANN401 - columns of the event
    ) -> None:
        """Change its row, add the event, and measure anew when its answer is due, in one transaction."""
        register = self.register
        rows, is_it = register.rows, register.id == its_id
        with self._database.write() as connection:
            moved = {"state": rows.c.state, **values}
            if connection.execute(update(rows).where(is_it, rows.c.state.in_(since)).values(**moved)).rowcount != 1:
                wanted, noun = " or ".join(since), self.noun
                raise ValueError(f"The {noun} {its_id} is not {wanted}; read the {noun}s for its state.")
            register.add_events(connection, [register.event(its_id, event, by=by, at=at, **about)])
            (watched,) = register.read_logs(connection, is_it)
            answer = Deadline(name=ANSWER, kind=ANSWER, span=watched.answer, ends=ANSWERS)
            due_at = clock.measure(watched.log, answer).due_at
            connection.execute(update(rows).where(is_it).values(due_at=due_at))


def record_raised(
    connection: Connection, register: Register, raised: Iterable[tuple[str, str]], *, at: datetime
) -> None:
    """Add the first event of new ones, given as pairs of id and owner."""
    events = [register.event(its_id, RAISED, by=HOLDFAST, at=at, owner=owner) for its_id, owner in raised]
    register.add_events(connection, events)
