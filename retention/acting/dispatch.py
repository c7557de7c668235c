"""Sending what is due: every message leaves once, whatever moment the process is killed at.

A message is claimed (`sending`, committed before the channel is called), then `sent`, `failed` or `uncertain`,
committed together with its ledger entry. Whoever finds a message in `sending` asks the channel what became of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from retention.acting.channels.base import (
    AskLaterError,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
    route,
)
from retention.store.ledger import FAILED, SENT, UNCERTAIN
from retention.store.outbox import PENDING, SENDING

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from company.policy.acting import Delivery
    from retention.acting.channels.base import Channel
    from retention.store.outbox import Outbox


@dataclass(frozen=True, kw_only=True)
class DispatchReport:
    """What one dispatch did: messages by the state it left them in; `recovered` were found half-sent."""

    sent: int = 0
    failed: int = 0
    uncertain: int = 0
    postponed: int = 0
    unsettled: int = 0
    recovered: int = 0


def dispatch(
    outbox: "Outbox", channels: Mapping[str, "Channel"], *, at: datetime, delivery: "Delivery"
) -> DispatchReport:
    """Settle what was left half-sent, then send what is due, each message once and in the order of the plans.

    Raises ChannelError before anything is sent when a medium has no channel, StoreBusyError when another process is
    sending.
    """
    with outbox.exclusive():
        sender = _Sender(outbox, channels, at=at, delivery=delivery)
        for row in outbox.in_state(SENDING):
            sender.recover(row)
        due = [row for row in outbox.in_state(PENDING) if row["not_before"] <= at]
        for medium in {row["channel"] for row in due}:
            route(channels, medium)
        for row in due:
            sender.send(row)
        return DispatchReport(**sender.counts)


class _Sender:
    """Moves single messages from state to state and counts them."""

    def __init__(
        self, outbox: "Outbox", channels: Mapping[str, "Channel"], *, at: datetime, delivery: "Delivery"
    ) -> None:
        self._outbox, self._channels, self._at, self._delivery = outbox, channels, at, delivery
        self.counts: dict[str, int] = {}

    def recover(self, row: "RowMapping") -> None:
        """Ask the channel what became of a message whose sending was cut short."""
        self._count("recovered")
        key = row["idempotency_key"]
        try:
            receipt = route(self._channels, row["channel"]).find(key)
        except UnclearError as error:
            self._finish(key, UNCERTAIN, trouble=str(error))
        except AskLaterError as error:
            self._leave(key, str(error))
        else:
            if receipt is None:
                self._outbox.move(key, since=SENDING, to=PENDING, at=self._at, not_before=self._at)
            else:
                self._finish_sent(receipt)

    def send(self, row: "RowMapping") -> None:
        """Claim a message, hand it to its channel, and record what came of it."""
        key = row["idempotency_key"]
        self._outbox.move(key, since=PENDING, to=SENDING, at=self._at, attempts=row["attempts"] + 1)
        message = Message(key=key, channel=row["channel"], body=json.loads(row["body"]))
        try:
            receipt = route(self._channels, row["channel"]).send(message)
        except RefusedError as error:
            self._finish(key, FAILED, trouble=str(error))
        except NotDeliveredError as error:
            self._postpone(row, str(error))
        except UnclearError as error:
            self._finish(key, UNCERTAIN, trouble=str(error))
        except AskLaterError as error:
            self._leave(key, str(error))
        else:
            self._finish_sent(receipt)

    def _finish_sent(self, receipt: Receipt) -> None:
        self._finish(receipt.key, SENT, receipt=receipt.reference, trouble=None)

    def _finish(self, key: str, state: str, **values: Any) -> None:  # noqa: ANN401 - column values
        self._outbox.finish(key, since=SENDING, to=state, at=self._at, **values)
        self._count(state)

    def _postpone(self, row: "RowMapping", trouble: str) -> None:
        key, attempts = row["idempotency_key"], row["attempts"] + 1
        if attempts >= self._delivery.maximum_attempts:
            self._finish(key, FAILED, trouble=f"given up after {attempts} dispatches: {trouble}")
            return
        wait = timedelta(minutes=self._delivery.retry_after_minutes * 2 ** (attempts - 1))
        self._outbox.move(key, since=SENDING, to=PENDING, at=self._at, not_before=self._at + wait, trouble=trouble)
        self._count("postponed")

    def _leave(self, key: str, trouble: str) -> None:
        self._outbox.move(key, since=SENDING, to=SENDING, at=self._at, trouble=trouble)
        self._count("unsettled")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
