"""The outbox: every message leaves once, whatever moment the process is killed at.

A message is `pending`, then `sending` (committed before the channel is called), then `sent`, `failed` or `uncertain`,
committed together with its ledger entry. Whoever finds a message in `sending` asks the channel what became of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, insert, select, update

from retention.acting.channels.base import (
    AskLaterError,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
    route,
)
from retention.store.database import exclusive_dispatch
from retention.store.tables import LEDGER, OUTBOX

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from company.policy import Delivery
    from retention.acting.channels.base import Channel

PENDING, SENDING, SENT, FAILED, UNCERTAIN = "pending", "sending", "sent", "failed", "uncertain"
ASSIGNED = "assigned"


@dataclass(frozen=True, kw_only=True)
class DispatchReport:
    """What one dispatch did: messages by the state it left them in; `recovered` were found half-sent."""

    sent: int = 0
    failed: int = 0
    uncertain: int = 0
    postponed: int = 0
    unsettled: int = 0
    recovered: int = 0


def idempotency_key(as_of: date, customer_id: str, strategy_id: str) -> str:
    """Return the key of a message, 64 hexadecimal digits made from what identifies it."""
    return _digest("message", as_of.isoformat(), customer_id, strategy_id)


def entry_id(as_of: date, customer_id: str, strategy_id: str, arm: str, event: str) -> str:
    """Return the id of a ledger entry, made from its content, so that a replay gives the same ledger."""
    return _digest("entry", as_of.isoformat(), customer_id, strategy_id, arm, event)


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def dispatch(
    engine: Engine, channels: Mapping[str, "Channel"], *, at: datetime, delivery: "Delivery"
) -> DispatchReport:
    """Settle what was left half-sent, then send what is due, in the order of the plans.

    Raises ChannelError before anything is sent when a medium has no channel, StoreBusyError when another process is
    sending.
    """
    with exclusive_dispatch(engine):
        sender = _Sender(engine, channels, at=at, delivery=delivery)
        for row in _rows(engine, SENDING):
            sender.recover(row)
        due = [row for row in _rows(engine, PENDING) if row["not_before"] <= at]
        for medium in {row["channel"] for row in due}:
            route(channels, medium)
        for row in due:
            sender.send(row)
        return DispatchReport(**sender.counts)


def _rows(engine: Engine, state: str) -> list["RowMapping"]:
    query = select(OUTBOX).where(OUTBOX.c.state == state)
    order = (OUTBOX.c.as_of, OUTBOX.c.rank, OUTBOX.c.idempotency_key)
    with engine.execution_options(is_reading=True).connect() as connection:
        return list(connection.execute(query.order_by(*order)).mappings())


class _Sender:
    """Moves single messages from state to state and counts them."""

    def __init__(
        self, engine: Engine, channels: Mapping[str, "Channel"], *, at: datetime, delivery: "Delivery"
    ) -> None:
        self._engine, self._channels, self._at, self._delivery = engine, channels, at, delivery
        self.counts: dict[str, int] = {}

    def recover(self, row: "RowMapping") -> None:
        """Ask the channel what became of a message whose sending was cut short."""
        self._count("recovered")
        key = row["idempotency_key"]
        try:
            receipt = route(self._channels, row["channel"]).find(key)
        except UnclearError as error:
            self._settle(key, UNCERTAIN, trouble=str(error))
        except AskLaterError as error:
            self._leave(key, str(error))
        else:
            if receipt is None:
                self._move(key, since=SENDING, to=PENDING, not_before=self._at)
            else:
                self._settle_sent(receipt)

    def send(self, row: "RowMapping") -> None:
        """Claim a message, hand it to its channel, and record what came of it."""
        key = row["idempotency_key"]
        self._move(key, since=PENDING, to=SENDING, attempts=row["attempts"] + 1)
        message = Message(key=key, channel=row["channel"], body=json.loads(row["body"]))
        try:
            receipt = route(self._channels, row["channel"]).send(message)
        except RefusedError as error:
            self._settle(key, FAILED, trouble=str(error))
        except NotDeliveredError as error:
            self._postpone(row, str(error))
        except UnclearError as error:
            self._settle(key, UNCERTAIN, trouble=str(error))
        except AskLaterError as error:
            self._leave(key, str(error))
        else:
            self._settle_sent(receipt)

    def _settle_sent(self, receipt: Receipt) -> None:
        self._settle(receipt.key, SENT, receipt=receipt.reference, trouble=None)

    def _settle(self, key: str, state: str, **values: Any) -> None:  # noqa: ANN401 - column values
        with self._engine.begin() as connection:
            move(connection, key, since=SENDING, to=state, at=self._at, **values)
            record(connection, key, event=state, at=self._at)
        self._count(state)

    def _postpone(self, row: "RowMapping", trouble: str) -> None:
        key, attempts = row["idempotency_key"], row["attempts"] + 1
        if attempts >= self._delivery.maximum_attempts:
            self._settle(key, FAILED, trouble=f"given up after {attempts} dispatches: {trouble}")
            return
        wait = timedelta(minutes=self._delivery.retry_after_minutes * 2 ** (attempts - 1))
        self._move(key, since=SENDING, to=PENDING, not_before=self._at + wait, trouble=trouble)
        self._count("postponed")

    def _leave(self, key: str, trouble: str) -> None:
        self._move(key, since=SENDING, to=SENDING, trouble=trouble)
        self._count("unsettled")

    def _move(self, key: str, *, since: str, to: str, **values: Any) -> None:  # noqa: ANN401 - column values
        with self._engine.begin() as connection:
            move(connection, key, since=since, to=to, at=self._at, **values)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def move(connection: "Connection", key: str, *, since: str, to: str, at: datetime, **values: Any) -> None:  # noqa: ANN401
    """Move one message from a state to another; raises ValueError when it is not in the first."""
    here = (OUTBOX.c.idempotency_key == key) & (OUTBOX.c.state == since)
    moved = connection.execute(update(OUTBOX).where(here).values(state=to, updated_at=at, **values))
    if moved.rowcount != 1:
        raise ValueError(f"The message {key} is not {since}, so it cannot become {to}; read the outbox for its state.")


def record(connection: "Connection", key: str, *, event: str, at: datetime) -> None:
    """Write what became of a message to the ledger, once; a failure gives its cost back."""
    assigned = (LEDGER.c.idempotency_key == key) & (LEDGER.c.event == ASSIGNED)
    origin = dict(connection.execute(select(LEDGER).where(assigned)).mappings().one())
    parts = (origin["as_of"], origin["customer_id"], origin["strategy_id"], origin["arm"])
    identity = entry_id(*parts, event)
    if connection.scalar(select(LEDGER.c.entry_id).where(LEDGER.c.entry_id == identity)) is not None:
        return
    cost = -origin["cost"] if event == FAILED else 0.0
    entry = origin | {"entry_id": identity, "event": event, "cost": cost, "recorded_at": at}
    connection.execute(insert(LEDGER).values(entry))
