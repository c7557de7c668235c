"""Sending what is due: every message leaves once, whatever moment a sender is killed at, and however many there are.

A message is claimed, committed before the channel is called, and each rests by itself in what came of it. Of a message
whose answer never came the receiver is asked; it is sent again only when the receiver has not got it.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from retention.acting.channels.base import (
    AskLaterError,
    Message,
    NotDeliveredError,
    RefusedError,
    UnclearError,
    route,
)
from retention.store.ledger import FAILED, INTERNAL, SENT, UNKNOWN
from retention.store.outbox import PLANNED, Move, left, stopped
from retention.store.subscriptions import is_partner

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from company.policy.acting import Delivery
    from retention.acting.channels.base import Addresses, Channel
    from retention.acting.rules import SendingRules
    from retention.store.outbox import Facts
    from retention.store.store import Store

BATCH = 200  # messages claimed at once by a channel that can be asked; by any other one alone
SETTLE_EVERY = 50
_MAIL = re.compile(r"[^\s@<>]+@[\w.-]*\w")
_HIDDEN = "(address)"
_MOST_DOUBLINGS = 6
_NUMBER = re.compile(r"\+?\d[\d ()/.-]{5,}\d")


@dataclass(frozen=True, kw_only=True)
class DispatchReport:
    """What one dispatch did, by the state in which messages came to rest.

    `postponed` wait for another attempt, `quiet` for the end of the quiet hours, `taken_over` were claimed by a sender
    that is gone, `paused` are the media of channels that were left alone after too many failures in a row.
    """

    sent: int = 0
    unknown: int = 0
    failed: int = 0
    late: int = 0
    capped: int = 0
    held: int = 0
    postponed: int = 0
    quiet: int = 0
    taken_over: int = 0
    paused: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sending:
    """What sending is done with and goes by.

    Args:
        channels: by medium.
        delivery: attempts, pauses, leases.
        rules: what a message must pass when it is claimed.
        addresses: looks addresses up; without it no channel that needs one can be used.
        is_replay: send messages of replayed days, as of their own moment, instead of those that are really sent.
        clock: tells the time now.
        sleep: waits so many seconds.
    """

    channels: Mapping[str, "Channel"]
    delivery: "Delivery"
    rules: "SendingRules"
    addresses: "Addresses | None" = None
    is_replay: bool = False
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep


def dispatch(store: "Store", sending: Sending) -> DispatchReport:
    """Settle what is unknown, then send what is due, each message once; wait for what is due soon.

    Raises ChannelError before anything is sent when a medium has no channel.
    """
    with store.outbox.present() as name:
        sender = _Sender(store, sending, name=name)
        sender.require_channels()
        while True:
            while sender.work():
                pass
            pause = sender.next_pause()
            if pause is None:
                break
            sending.sleep(pause)
        return sender.report()


@dataclass(kw_only=True)
class _Route:
    """A channel with the media that it takes, and its failures in a row."""

    channel: "Channel"
    media: list[str] = field(default_factory=list)
    failures: int = 0


class _Sender:
    """One sender at work."""

    def __init__(self, store: "Store", sending: Sending, *, name: str) -> None:
        self._store, self._sending, self._name = store, sending, name
        self._counts: Counter[str] = Counter()
        self._routes: list[_Route] = []
        self._looked_at = sending.clock()

    def require_channels(self) -> None:
        """Find the channel of every medium that waits, and keep its failures so far; raises ChannelError."""
        failures = {id(each.channel): each.failures for each in self._routes}
        media = self._store.outbox.open_media(is_replay=self._sending.is_replay)
        self._routes = list(_routes(self._sending.channels, media))
        for each in self._routes:
            each.failures = failures.get(id(each.channel), 0)

    def work(self) -> bool:
        """Take over, ask, and send one batch by each channel; tells whether there was anything to do."""
        outbox, at = self._store.outbox, self._sending.clock()
        self._looked_at = at
        self._counts["taken_over"] += outbox.take_over(at=at, ask_at=at + self._ask_after)
        self.require_channels()
        return sum(self._ask(each) + self._send(each) for each in self._open_routes()) > 0

    def next_pause(self) -> float | None:
        """Return the seconds until something is due, None when that is longer than the policy's patience.

        What was due when the work began, and was not done, cannot be done now; what became due since then can.
        """
        due = self._store.outbox.next_due(is_replay=self._sending.is_replay)
        if due is None or due <= self._looked_at or not self._open_routes():
            return None
        pause = (due - self._sending.clock()).total_seconds()
        return max(pause, 0.01) if pause <= self._sending.delivery.patience_seconds else None

    def report(self) -> DispatchReport:
        """Return what was done."""
        most = self._sending.delivery.pause_after_failures
        paused = tuple(medium for each in self._routes if each.failures >= most for medium in each.media)
        return DispatchReport(**self._counts, paused=paused)

    @property
    def _ask_after(self) -> timedelta:
        return timedelta(seconds=self._sending.delivery.ask_after_seconds)

    def _open_routes(self) -> list[_Route]:
        most = self._sending.delivery.pause_after_failures
        return [each for each in self._routes if each.failures < most]

    def _ask(self, route_: _Route) -> int:
        """Ask a channel about messages of which it is unknown whether they arrived."""
        at, outbox = self._sending.clock(), self._store.outbox
        rows = outbox.read_unknown(route_.media, at=at, limit=BATCH, is_replay=self._sending.is_replay)
        moves = [(row, self._settle_unknown(route_.channel, row)) for row in rows]
        outbox.answer(moves, at=self._sending.clock())
        self._count(moves)
        return len(rows)

    def _settle_unknown(self, channel: "Channel", row: "RowMapping") -> Move:
        now, attempts = self._sending.clock(), row["attempts"]
        try:
            receipt = channel.find(row["idempotency_key"])
        except UnclearError as error:
            return left(row, UNKNOWN, trouble=str(error))
        except AskLaterError as error:
            later = now + self._pause(attempts)
            return left(row, UNKNOWN, attempts=attempts + 1, not_before=later, trouble=str(error))
        if receipt is not None:
            return left(row, SENT, receipt=_clean(receipt.reference))
        return self._try_again(row, "the receiver has not got it", at=row["left_at"], pause=timedelta(0))

    def _send(self, route_: _Route) -> int:
        """Claim a batch and send it; return how many were due."""
        sending, now = self._sending, self._sending.clock()
        until = now + timedelta(minutes=sending.delivery.lease_minutes)
        rows, others = self._store.outbox.claim(
            route_.media,
            self._judge,
            by=self._name,
            at=now,
            until=until,
            limit=BATCH if route_.channel.is_askable else 1,
            per_minute=route_.channel.per_minute,
            is_replay=sending.is_replay,
        )
        self._counts.update("quiet" if move.state == PLANNED else move.state for move in others)
        moves: list[tuple[RowMapping, Move]] = []
        for row, message in self._write_messages(route_.channel, rows):
            moves.append((row, self._send_one(route_, row, message, until=until)))
            if len(moves) >= SETTLE_EVERY:
                self._settle(moves)
                moves = []
        self._settle(moves)
        return len(rows) + len(others)

    def _judge(self, row: "RowMapping", facts: "Facts") -> Move:
        now = self._sending.clock()
        at = self._sending.rules.replayed_at(row["as_of"]) if row["is_replay"] else now
        return self._sending.rules.judge(row, facts, at=at, now=now)

    def _write_messages(
        self, channel: "Channel", rows: "Sequence[RowMapping]"
    ) -> "Iterator[tuple[RowMapping, Message]]":
        customers = sorted({row["customer_id"] for row in rows})
        languages = self._store.recipients.languages(customers)
        known: Mapping[str, str] = {}
        if channel.needs is not None and customers and self._sending.addresses is not None:
            known = self._sending.addresses(customers, channel.needs)
        for row in rows:
            language = languages.get(row["customer_id"], self._sending.delivery.language)
            yield row, write_message(row, language=language, address=known.get(row["customer_id"]))

    def _send_one(self, route_: _Route, row: "RowMapping", message: Message, *, until: datetime) -> Move:
        """Call the channel, unless its failures or the lease forbid it, and return where the message goes."""
        sending, channel = self._sending, route_.channel
        now = sending.clock()
        too_late = now > until - timedelta(minutes=sending.delivery.lease_minutes / 2)
        if too_late or route_.failures >= sending.delivery.pause_after_failures:
            return Move(state=PLANNED, at=now, attempts=row["attempts"], not_before=now, trouble=row["trouble"])
        if channel.needs is not None and message.address is None:
            return stopped(row, FAILED, at=message.moment, trouble=_explain_absence(row, channel.needs))
        try:
            receipt = channel.send(message)
        except RefusedError as error:
            route_.failures = 0
            return stopped(row, FAILED, at=message.moment, trouble=_clean(str(error), message.address))
        except NotDeliveredError as error:
            route_.failures += 1
            pause = self._pause(row["attempts"], least=error.retry_after)
            return self._try_again(row, _clean(str(error), message.address), at=message.moment, pause=pause)
        except UnclearError as error:
            route_.failures += 1
            ask_at = sending.clock() + self._ask_after if channel.is_askable else None
            why = _clean(str(error), message.address)
            return left(row, UNKNOWN, attempts=row["attempts"] + 1, not_before=ask_at, trouble=why)
        route_.failures = 0
        return left(row, SENT, attempts=row["attempts"] + 1, receipt=_clean(receipt.reference, message.address))

    def _try_again(self, row: "RowMapping", trouble: str, *, at: datetime, pause: timedelta) -> Move:
        """Return the move of a message that has not arrived: planned again, or failed after too many attempts."""
        attempts = row["attempts"] + int(row["state"] != UNKNOWN)  # of an unknown one the attempt is counted
        if attempts >= self._sending.delivery.maximum_attempts:
            return stopped(row, FAILED, at=at, trouble=f"given up after {attempts} attempts: {trouble}")
        due = self._sending.clock() + pause
        return Move(state=PLANNED, at=at, attempts=attempts, not_before=due, trouble=trouble)

    def _pause(self, attempts: int, *, least: float = 0.0) -> timedelta:
        minutes = self._sending.delivery.retry_after_minutes * 2 ** min(attempts, _MOST_DOUBLINGS)
        return max(timedelta(minutes=minutes), timedelta(seconds=least))

    def _settle(self, moves: "Sequence[tuple[RowMapping, Move]]") -> None:
        if moves:
            self._store.outbox.settle(moves, by=self._name, at=self._sending.clock())
            self._count(moves)

    def _count(self, moves: "Sequence[tuple[RowMapping, Move]]") -> None:
        states = [move.state for row, move in moves if move.state != row["state"] or move.state == PLANNED]
        self._counts.update("postponed" if state == PLANNED else state for state in states)


def write_message(row: "RowMapping", *, language: str, address: str | None) -> Message:
    """Return a message as its channel gets it: in one language, and without any figure that the plan was made by.

    What is announced to a partner's program is left as it was written.
    """
    content: dict[str, Any] = json.loads(row["body"])
    if is_partner(row["customer_id"]):
        return Message(
            key=row["idempotency_key"],
            channel=row["channel"],
            body=content,
            moment=row["left_at"],
            is_replay=row["is_replay"],
        )
    text = content.get(f"text_{language}") or content["text_en"]
    body = {
        "customer_id": row["customer_id"],
        "language": language,
        "text": text,
        "valid_until": row["useful_until"].isoformat(),
        "campaign": row["strategy_id"],
        "offers": content.get("offers", []),
    }
    return Message(
        key=row["idempotency_key"],
        channel=row["channel"],
        body=body,
        moment=row["left_at"],
        address=address,
        is_replay=row["is_replay"],
    )


def _explain_absence(row: "RowMapping", kind: str) -> str:
    if row["purpose"] != INTERNAL:
        return f"the vault holds no {kind} of the customer"
    return f"no secret holds the {kind} of the owner; name one as `address` under `policy.owners`"


def _routes(channels: Mapping[str, "Channel"], media: Sequence[str]) -> Iterator[_Route]:
    """Yield each channel with those of the media that it takes."""
    found: dict[int, _Route] = {}
    for medium in media:
        channel = route(channels, medium)
        found.setdefault(id(channel), _Route(channel=channel)).media.append(medium)
    yield from found.values()


def _clean(text: str, address: str | None = None) -> str:
    """Return what a receiver answered without addresses in it: it is kept, and an address is kept in the vault only."""
    kept = text if address is None else text.replace(address, _HIDDEN)
    digits = _digits(address or "")
    if digits:
        kept = _NUMBER.sub(lambda found: _HIDDEN if _digits(found[0]).endswith(digits[-7:]) else found[0], kept)
    return _MAIL.sub(_HIDDEN, kept)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())
