"""The outbox: messages and their states, each move committed together with its ledger entry."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, func, or_, select, update

from retention.store.consents import MARKETING, Consent, read_consents
from retention.store.database import Database, is_gone, lock_claims, presence
from retention.store.ledger import FAILED, HELD, REDRIVEN, SENT, UNKNOWN, Entry, Which, chunks, record, record_once
from retention.store.tables import OUTBOX

if TYPE_CHECKING:
    import pandas as pd

PLANNED, CLAIMED = "planned", "claimed"
UNAPPROVED = "unapproved"  # of a plan that waits for a person; it is planned once they approve
LEFT = (SENT, UNKNOWN)  # a message in these states counts as having left


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What claiming knows of one customer: changes of consent, and the days on which marketing messages left."""

    consents: Sequence[Consent] = ()
    contacts: Sequence[date] = ()


@dataclass(frozen=True, kw_only=True)
class Move:
    """Where a message goes, and why.

    `at` is the moment that counts: of a message that leaves, when it left, on the company's day `left_on`. `not_before`
    is when the message is looked at again, None for never.
    """

    state: str
    at: datetime
    attempts: int
    not_before: datetime | None = None
    left_on: date | None = None
    receipt: str | None = None
    trouble: str | None = None


Moves = Sequence[tuple[RowMapping, Move]]
Judge = Callable[[RowMapping, Facts], Move]


class Outbox:
    """One row per message: planned (or first unapproved), claimed, then sent, unknown, failed, late, capped or held."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def read(self) -> "pd.DataFrame":
        """Return every message with its state, oldest plan first."""
        return self._database.read_frame(select(OUTBOX).order_by(OUTBOX.c.as_of, OUTBOX.c.rank))

    def read_state(self, state: str, which: Which | None = None) -> list[RowMapping]:
        """Return the messages in a state, in the order of the plans."""
        order = (OUTBOX.c.as_of, OUTBOX.c.rank, OUTBOX.c.idempotency_key)
        query = select(OUTBOX).where(OUTBOX.c.state == state, *(which or Which()).conditions(OUTBOX)).order_by(*order)
        with self._database.read() as connection:
            return [
                row for row in connection.execute(query).mappings() if which is None or which.has(row["customer_id"])
            ]

    def read_customer(self, customer_id: str) -> list[RowMapping]:
        """Return the messages of one customer, the newest first."""
        query = select(OUTBOX).where(OUTBOX.c.customer_id == customer_id).order_by(OUTBOX.c.as_of.desc())
        with self._database.read() as connection:
            return list(connection.execute(query).mappings())

    def count_states(self, which: Which | None = None) -> Counter[tuple[str, str, bool]]:
        """Return how many messages there are by channel, state, and whether they were replayed."""
        which = which or Which()
        columns = (OUTBOX.c.channel, OUTBOX.c.state, OUTBOX.c.is_replay)
        whose = () if which.customers is None else (OUTBOX.c.customer_id,)
        query = select(func.count(), *columns, *whose).where(*which.conditions(OUTBOX)).group_by(*columns, *whose)
        query = query.order_by(*columns)
        counts: Counter[tuple[str, str, bool]] = Counter()
        with self._database.read() as connection:
            for count, channel, state, is_replay, *customer in connection.execute(query):
                counts[channel, state, is_replay] += count if which.has(*customer) else 0
        return counts

    @contextmanager
    def present(self) -> Iterator[str]:
        """Yield the name of a sender for a block; when its process ends, others see that and take over."""
        name = uuid4().hex
        with presence(self._database.engine, name):
            yield name

    def open_media(self, *, is_replay: bool) -> list[str]:
        """Return the media of messages that wait to be sent or asked about."""
        waits = (OUTBOX.c.state == CLAIMED) | OUTBOX.c.not_before.is_not(None)
        query = select(OUTBOX.c.channel).distinct().where(waits, _may_leave(), OUTBOX.c.is_replay == is_replay)
        with self._database.read() as connection:
            return sorted(connection.scalars(query))

    def open_customers(self) -> list[str]:
        """Return the customers for whom a message waits to be sent."""
        query = select(OUTBOX.c.customer_id).distinct().where(OUTBOX.c.state.in_((UNAPPROVED, PLANNED, CLAIMED)))
        with self._database.read() as connection:
            return sorted(connection.scalars(query))

    def next_due(self, *, is_replay: bool) -> datetime | None:
        """Return when the next message is to be sent, asked about or taken over, None when none is."""
        due = func.min(func.coalesce(OUTBOX.c.not_before, OUTBOX.c.lease_until))
        query = select(due).where(_may_leave(), OUTBOX.c.is_replay == is_replay)
        with self._database.read() as connection:
            moment: datetime | None = connection.scalar(query)
            return moment

    def take_over(self, *, at: datetime, ask_at: datetime) -> int:
        """Make unknown what was claimed by a sender that is gone or whose lease is over; return how many.

        Whether it was sent nobody can tell: it is asked about at `ask_at`.
        """
        with self._database.write() as connection:
            lock_claims(connection)
            query = select(OUTBOX.c.claimed_by, func.max(OUTBOX.c.lease_until)).where(OUTBOX.c.state == CLAIMED)
            holders = connection.execute(query.group_by(OUTBOX.c.claimed_by)).all()
            lost = [name for name, until in holders if until is None or until <= at or self._is_gone(name)]
            rows = [row for name in lost for row in _claimed_by(connection, name)]
            why = "the sender ended before it knew what came of it"
            _apply(connection, [(row, left(row, UNKNOWN, not_before=ask_at, trouble=why)) for row in rows], at=at)
        return len(rows)

    def _is_gone(self, name: str | None) -> bool:
        return name is None or is_gone(self._database.engine, name)

    def claim(
        self,
        media: Sequence[str],
        judge: Judge,
        *,
        by: str,
        at: datetime,
        until: datetime,
        limit: int,
        per_minute: float | None = None,
        is_replay: bool = False,
    ) -> tuple[list[RowMapping], list[Move]]:
        """Claim due messages of some media, in the order of the plans, each as `judge` decides, in one transaction.

        Args:
            media: whose messages are meant.
            judge: tells of each message whether it is claimed, and else where it goes; what it gets of the customer
                includes the messages claimed before it.
            by: the sender's name.
            at: now.
            until: how long the messages are the sender's.
            limit: claims at most.
            per_minute: claims within a minute at most, those of other senders included.
            is_replay: which messages are meant, replayed ones or those that are really sent.

        Returns:
            The claimed rows, and the moves of all the others that were due.
        """
        with self._database.write() as connection:
            lock_claims(connection)
            if per_minute is not None:
                limit = min(limit, _left_of_minute(connection, media, per_minute, at=at))
            rows = _read_due(connection, PLANNED, media, at=at, limit=limit, is_replay=is_replay)
            pairs = _judge_all(connection, rows, judge, is_replay=is_replay)
            claimed = [(row, move) for row, move in pairs if move.state == CLAIMED]
            others = [(row, move) for row, move in pairs if move.state != CLAIMED]
            _apply(connection, others, at=at)
            _mark(connection, claimed, by=by, at=at, until=until)
        mine = [{**row, "left_at": move.at, "left_on": move.left_on} for row, move in claimed]
        return mine, [move for _, move in others]  # type: ignore[return-value]  # read as rows are

    def read_unknown(self, media: Sequence[str], *, at: datetime, limit: int, is_replay: bool) -> list[RowMapping]:
        """Return messages of which it is time to ask the receiver."""
        with self._database.read() as connection:
            return _read_due(connection, UNKNOWN, media, at=at, limit=limit, is_replay=is_replay)

    def settle(self, moves: Moves, *, by: str, at: datetime) -> int:
        """Record what came of messages that a sender claimed, in one transaction; return how many were not its own.

        Another sender has taken those over after the lease; what was done with them counts all the same: a message that
        left is never planned again.
        """
        with self._database.write() as connection:
            held = {row["idempotency_key"] for row in _claimed_by(connection, by)}
            own = [(row, move) for row, move in moves if row["idempotency_key"] in held]
            _apply(connection, own, at=at)
            foreign = [(row, move) for row, move in moves if row["idempotency_key"] not in held and move.state in LEFT]
            _apply(connection, _still_open(connection, foreign), at=at)
        return len(foreign)

    def answer(self, moves: Moves, *, at: datetime) -> None:
        """Record what receivers answered about unknown messages, unless they were tried again since they were read."""
        asked = {row["idempotency_key"]: row["attempts"] for row, _ in moves}
        with self._database.write() as connection:
            unknown = _in_state(connection, moves, UNKNOWN)
            still = [(row, move) for row, move in unknown if row["attempts"] == asked[row["idempotency_key"]]]
            _apply(connection, still, at=at)

    def decide(self, key: str, *, delivered: bool, by: str, at: datetime) -> None:
        """Let a person decide an unknown message; raises ValueError when it is not unknown."""
        with self._database.write() as connection:
            row = _require(connection, key, UNKNOWN)
            move = (
                left(row, SENT) if delivered else stopped(row, FAILED, at=at, trouble=f"not delivered, decided by {by}")
            )
            _apply(connection, [(row, move)], at=at, settled_by=by)

    def redrive(self, keys: Sequence[str] | None, *, by: str, at: datetime) -> int:
        """Plan failed messages again, all of them or those of `keys`; return how many. It takes their cost again.

        Raises ValueError when a key is not that of a failed message.
        """
        with self._database.write() as connection:
            if keys is None:
                query = select(OUTBOX).where(OUTBOX.c.state == FAILED)
                rows = list(connection.execute(query).mappings())
            else:
                rows = [_require(connection, key, FAILED) for key in keys]
            again = [(row, Move(state=PLANNED, at=at, attempts=0, not_before=at)) for row in rows]
            record(
                connection, [Entry(key=row["idempotency_key"], event=REDRIVEN, at=at, happened_at=at) for row in rows]
            )
            _apply(connection, again, at=at, settled_by=by)
        return len(rows)

    def report(self, key: str, event: str, *, happened_at: datetime, at: datetime) -> bool:
        """Record what a receiver reports of a message, once per event; raises KeyError for a key that is not known.

        Any report proves that a message arrived of which that was unknown.
        """
        with self._database.write() as connection:
            row = connection.execute(select(OUTBOX).where(OUTBOX.c.idempotency_key == key)).mappings().one_or_none()
            if row is None:
                raise KeyError(key)
            if row["state"] == UNKNOWN:
                _apply(connection, [(row, left(row, SENT, receipt=f"reported {event}"))], at=at)
            return record_once(connection, Entry(key=key, event=event, at=at, happened_at=happened_at))


def left(row: RowMapping, state: str, **changes: Any) -> Move:  # noqa: ANN401 - fields of a move
    """Return the move of a message that left, or may have left, when it was claimed."""
    at = row["left_at"] or row["updated_at"]
    move = Move(state=state, at=at, attempts=row["attempts"], left_on=row["left_on"] or at.date())
    return replace(move, **changes)


def stopped(row: RowMapping, state: str, *, at: datetime, trouble: str) -> Move:
    """Return the move of a message that will not leave."""
    return Move(state=state, at=at, attempts=row["attempts"], trouble=trouble)


def release(connection: Connection, as_of: date, *, is_approved: bool, by: str, at: datetime) -> int:
    """Plan the messages of a plan that waited for its approval, or hold them for good; return how many waited."""
    waits = (OUTBOX.c.state == UNAPPROVED) & (OUTBOX.c.as_of == as_of)
    rows = list(connection.execute(select(OUTBOX).where(waits).with_for_update()).mappings())
    if is_approved:
        connection.execute(update(OUTBOX).where(waits).values(state=PLANNED, updated_at=at))
    else:
        refused = f"the plan was refused by {by}"
        _apply(connection, [(row, stopped(row, HELD, at=at, trouble=refused)) for row in rows], at=at)
    return len(rows)


def _may_leave() -> ColumnElement[bool]:
    return OUTBOX.c.state != UNAPPROVED


def _read_due(
    connection: Connection, state: str, media: Sequence[str], *, at: datetime, limit: int, is_replay: bool
) -> list[RowMapping]:
    is_due = (OUTBOX.c.state == state) & (OUTBOX.c.not_before <= at) & (OUTBOX.c.is_replay == is_replay)
    query = select(OUTBOX).where(is_due & OUTBOX.c.channel.in_(media))
    order = (OUTBOX.c.as_of, OUTBOX.c.rank, OUTBOX.c.idempotency_key)
    return list(connection.execute(query.order_by(*order).limit(max(limit, 0))).mappings())


def _left_of_minute(connection: Connection, media: Sequence[str], per_minute: float, *, at: datetime) -> int:
    is_recent = OUTBOX.c.channel.in_(media) & (OUTBOX.c.claimed_at > at - timedelta(minutes=1))
    return int(per_minute) - int(connection.scalar(select(func.count()).where(is_recent)) or 0)


def _judge_all(
    connection: Connection, rows: Sequence[RowMapping], judge: Judge, *, is_replay: bool
) -> list[tuple[RowMapping, Move]]:
    """Judge messages one after the other; one that is claimed counts as a contact for those after it."""
    customers = sorted({row["customer_id"] for row in rows})
    consents = read_consents(connection, customers)
    contacts = _read_contacts(connection, customers, is_replay=is_replay)
    pairs = []
    for row in rows:
        customer = row["customer_id"]
        days = contacts.setdefault(customer, [])
        move = judge(row, Facts(consents=consents.get(customer, ()), contacts=tuple(days)))
        if move.state == CLAIMED and move.left_on is not None and row["purpose"] == MARKETING:
            days.append(move.left_on)
        pairs.append((row, move))
    return pairs


def _read_contacts(connection: Connection, customers: Sequence[str], *, is_replay: bool) -> dict[str, list[date]]:
    is_counted = OUTBOX.c.left_on.is_not(None) & (OUTBOX.c.purpose == MARKETING)
    counts = is_counted & or_(OUTBOX.c.is_replay.is_(False), OUTBOX.c.is_replay.is_(is_replay))
    found: dict[str, list[date]] = {}
    for part in chunks(customers):
        query = select(OUTBOX.c.customer_id, OUTBOX.c.left_on).where(counts, OUTBOX.c.customer_id.in_(part))
        for customer, day in connection.execute(query):
            found.setdefault(customer, []).append(day)
    return found


_IS_KEY = OUTBOX.c.idempotency_key == bindparam("key")
_CLAIM = update(OUTBOX).where(_IS_KEY).values(
    state=CLAIMED, claimed_by=bindparam("by"), claimed_at=bindparam("now"), lease_until=bindparam("until"),
    left_at=bindparam("leaves_at"), left_on=bindparam("leaves_on"), updated_at=bindparam("now"), not_before=None,
)  # fmt: skip
_MOVE = update(OUTBOX).where(_IS_KEY).values(
    state=bindparam("to"), attempts=bindparam("tries"), not_before=bindparam("due"), left_at=bindparam("leaves_at"),
    left_on=bindparam("leaves_on"), receipt=bindparam("proof"), trouble=bindparam("why"), updated_at=bindparam("now"),
    claimed_by=None, lease_until=None,
)  # fmt: skip


def _mark(connection: Connection, claimed: Moves, *, by: str, at: datetime, until: datetime) -> None:
    values = [
        {"key": row["idempotency_key"], "by": by, "now": at, "until": until, "leaves_at": move.at,
         "leaves_on": move.left_on}
        for row, move in claimed
    ]  # fmt: skip
    if values:
        connection.execute(_CLAIM, values)


def _apply(connection: Connection, moves: Moves, *, at: datetime, settled_by: str | None = None) -> None:
    """Move messages, and write what became of those that rest now."""
    values = [
        {"key": row["idempotency_key"], "to": move.state, "tries": move.attempts, "due": move.not_before,
         "leaves_at": move.at if move.left_on else None, "leaves_on": move.left_on, "proof": move.receipt,
         "why": move.trouble, "now": at}
        for row, move in moves
    ]  # fmt: skip
    if not values:
        return
    connection.execute(_MOVE if settled_by is None else _MOVE.values(settled_by=settled_by), values)
    news = [(row, move) for row, move in moves if move.state != PLANNED and move.state != row["state"]]
    entries = [Entry(key=row["idempotency_key"], event=move.state, at=at, happened_at=move.at) for row, move in news]
    record(connection, entries)


def _claimed_by(connection: Connection, name: str | None) -> list[RowMapping]:
    query = select(OUTBOX).where(OUTBOX.c.state == CLAIMED, OUTBOX.c.claimed_by.is_not_distinct_from(name))
    return list(connection.execute(query.with_for_update()).mappings())


def _in_state(connection: Connection, moves: Moves, *states: str) -> Moves:
    """Return those moves whose messages still are in one of some states, with the rows as they are now."""
    wanted = {row["idempotency_key"]: move for row, move in moves}
    query = select(OUTBOX).where(OUTBOX.c.state.in_(states)).with_for_update()
    rows = [
        row
        for part in chunks(list(wanted))
        for row in connection.execute(query.where(OUTBOX.c.idempotency_key.in_(part))).mappings()
    ]
    return [(row, wanted[row["idempotency_key"]]) for row in rows]


def _still_open(connection: Connection, moves: Moves) -> Moves:
    return _in_state(connection, moves, PLANNED, UNKNOWN)


def _require(connection: Connection, key: str, state: str) -> RowMapping:
    query = select(OUTBOX).where(OUTBOX.c.idempotency_key == key, OUTBOX.c.state == state).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ValueError(f"The message {key} is not {state}; `holdfast outbox status` lists those that are.")
    return row
