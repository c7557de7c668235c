"""Looks at the clocks of alerts and incidents: what each found, recorded once, whoever looks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, update

from retention.acting.clock import ANSWER, RAISED
from retention.acting.notices import DIGEST, Look, Notified
from retention.store.answers import (
    BREACHED,
    HOLDFAST,
    NOTIFIED,
    OF_ALERTS,
    OF_INCIDENTS,
    SILENCED,
    UNFINISHED,
    Register,
)
from retention.store.database import Database, lock_claims, next_number
from retention.store.ledger import INTERNAL
from retention.store.notices import address_of, owner_in
from retention.store.tables import ALERT_EVENTS, ALERT_LOOKS, ALERTS, OUTBOX

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from retention.acting.watched import Watched

REGISTERS = (OF_ALERTS, OF_INCIDENTS)
_MARGIN = timedelta(hours=1)  # by which a closing may have been committed after the look that it precedes
_UNSEEN = timedelta(days=30)  # what was closed within it is read by the first look of all

Everything = Mapping[str, "Watched"]
Decide = Callable[[Sequence["Watched"], Notified], Look]
Write = Callable[[Connection, Look, Everything], Sequence[Mapping[str, Any]]]


class Looks:
    """One row per look; what it found is added to the events of alerts and incidents."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def read(self, *, since: datetime) -> "list[RowMapping]":
        """Return the looks since a moment, the newest first."""
        query = select(ALERT_LOOKS).where(ALERT_LOOKS.c.looked_at >= since).order_by(ALERT_LOOKS.c.number.desc())
        with self._database.read() as connection:
            return list(connection.execute(query).mappings())

    def look(self, decide: Decide, write: Write, *, at: datetime, today: date, cooldown: timedelta) -> Look:
        """Look at all clocks, and record what was found in one transaction: exactly once, whoever looks.

        Args:
            decide: returns what is due, from what waits or has just been closed and earlier notices.
            write: writes the messages of a look into the outbox, given what they are about by its id.
            at: now.
            today: the company's day.
            cooldown: how long a customer and reason count as notified.
        """
        with self._database.write() as connection:
            lock_claims(connection)
            former = connection.scalar(select(func.max(ALERT_LOOKS.c.looked_at)))
            since = at - _UNSEEN if former is None else former - _MARGIN
            of = {register.noun: _read(connection, register, since=since) for register in REGISTERS}
            everything = {each.id: each for watched in of.values() for each in watched}
            found = decide(list(everything.values()), _read_notified(connection, today=today, since=at - cooldown))
            messages = write(connection, found, everything)
            for register in REGISTERS:
                ids = {each.id for each in of[register.noun]}
                _record_found(connection, register, ids, found, messages, at=at)
            values = {"looked_at": at, "count_alerts": len(everything), "count_notices": len(messages)}
            values |= {"number": next_number(connection, ALERT_LOOKS), "count_breaches": len(found.breaches)}
            connection.execute(insert(ALERT_LOOKS).values(**values))
        return found


def _read(connection: Connection, register: Register, *, since: datetime) -> "list[Watched]":
    columns = register.rows.c
    return register.read_logs(connection, columns.state.in_(UNFINISHED) | (columns.closed_at >= since))


def _read_notified(connection: Connection, *, today: date, since: datetime) -> Notified:
    is_to_owner = (OUTBOX.c.purpose == INTERNAL) & OUTBOX.c.customer_id.startswith(address_of(""))
    is_today = is_to_owner & (OUTBOX.c.as_of == today)
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


def _record_found(
    connection: Connection,
    register: Register,
    ids: set[str],
    found: Look,
    messages: Sequence[Mapping[str, Any]],
    *,
    at: datetime,
) -> None:
    """Add what was found of one register to its events, and mark whose answer was missed."""
    events = [
        register.event(
            its_id, NOTIFIED, by=HOLDFAST, at=at, owner=notice.owner, deadline=deadline,
            message_key=message["idempotency_key"],
        )
        for notice, message in zip(found.notices, messages, strict=True)
        for its_id, deadline in notice.items
        if its_id in ids
    ]  # fmt: skip
    events += [
        register.event(its_id, SILENCED, by=HOLDFAST, at=at, deadline=deadline, note=why)
        for its_id, deadline, why in found.silenced
        if its_id in ids
    ]
    breaches = [each for each in found.breaches if each.id in ids]
    events += [register.event(each.id, BREACHED, by=HOLDFAST, at=each.due_at, deadline=each.deadline)
               for each in breaches]  # fmt: skip
    register.add_events(connection, events)
    for each in breaches:
        if each.kind == ANSWER:
            is_it = register.id == each.id
            connection.execute(update(register.rows).where(is_it).values(breached_at=each.due_at))
