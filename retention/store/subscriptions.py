"""Webhooks of partners' programs: what happened is announced to each once, as a message of the outbox."""

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from retention.acting.signing import make_secret
from retention.store.database import Database
from retention.store.keys import message_key
from retention.store.ledger import INTERNAL, chunks
from retention.store.outbox import PLANNED
from retention.store.tables import OUTBOX, WEBHOOK_SUBSCRIPTIONS

USEFUL_DAYS = 7  # after which an announcement that could not leave is late
VERSION = "1"
_PARTNER = "partner:"


def address_of(subscription_id: str) -> str:
    """Return what stands in the place of a customer, and of a medium, in messages to a partner's program."""
    return f"{_PARTNER}{subscription_id}"


def is_partner(address: str) -> bool:
    """Return whether a message goes to a partner's program."""
    return address.startswith(_PARTNER)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One webhook: of which key, where to, which kinds of events, its signing secret, and how far it is announced."""

    subscription_id: str
    key_id: str
    url: str
    events: tuple[str, ...]
    secret: str
    made_at: datetime
    announced_to: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """Something that happened, as one subscriber may know it; `occasion` is unique among events of its kind."""

    kind: str
    occasion: str
    at: datetime
    data: Mapping[str, Any]


class Subscriptions:
    """One row per webhook."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def add(self, *, key_id: str, url: str, events: Iterable[str], at: datetime) -> Subscription:
        """Add a webhook with a secret of its own; what happens from now on is announced to it."""
        made = Subscription(
            subscription_id=secrets.token_hex(6),
            key_id=key_id,
            url=url,
            events=tuple(sorted(set(events))),
            secret=make_secret(),
            made_at=at,
            announced_to=at,
        )
        with self._database.write() as connection:
            connection.execute(insert(WEBHOOK_SUBSCRIPTIONS).values(**vars(made) | {"events": ",".join(made.events)}))
        return made

    def read(self, *, key_id: str | None = None) -> list[Subscription]:
        """Return the webhooks of a key, or all, the oldest first; those that have ended, too."""
        query = select(WEBHOOK_SUBSCRIPTIONS).order_by(WEBHOOK_SUBSCRIPTIONS.c.made_at)
        if key_id is not None:
            query = query.where(WEBHOOK_SUBSCRIPTIONS.c.key_id == key_id)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [Subscription(**{**row, "events": tuple(row["events"].split(","))}) for row in rows]

    def end(self, subscription_id: str, *, at: datetime) -> None:
        """Announce nothing more; what waits is refused. Ending again changes nothing."""
        is_it = (WEBHOOK_SUBSCRIPTIONS.c.subscription_id == subscription_id) & WEBHOOK_SUBSCRIPTIONS.c.ended_at.is_(
            None
        )
        with self._database.write() as connection:
            connection.execute(update(WEBHOOK_SUBSCRIPTIONS).where(is_it).values(ended_at=at))

    def count_states(self, subscription_id: str) -> Counter[str]:
        """Return how many of its messages are in each state of the outbox."""
        query = select(OUTBOX.c.state, func.count()).where(OUTBOX.c.customer_id == address_of(subscription_id))
        with self._database.read() as connection:
            return Counter({row[0]: row[1] for row in connection.execute(query.group_by(OUTBOX.c.state))})

    def announce(self, subscription: Subscription, found: Iterable[Announcement], *, today: date, at: datetime) -> int:
        """Plan a message for what was not announced yet, and note how far that is; return how many are new."""
        rows = {row["idempotency_key"]: row for row in (_row(subscription, each, today, at) for each in found)}
        is_it = WEBHOOK_SUBSCRIPTIONS.c.subscription_id == subscription.subscription_id
        with self._database.write() as connection:
            known = _find_known(connection, list(rows))
            new = [row for key, row in rows.items() if key not in known]
            if new:
                connection.execute(insert(OUTBOX), new)
            connection.execute(update(WEBHOOK_SUBSCRIPTIONS).where(is_it).values(announced_to=at))
        return len(new)


def _find_known(connection: Connection, keys: list[str]) -> set[str]:
    query = select(OUTBOX.c.idempotency_key)
    parts = (connection.scalars(query.where(OUTBOX.c.idempotency_key.in_(part))) for part in chunks(keys))
    return {key for part in parts for key in part}


def _row(subscription: Subscription, found: Announcement, today: date, at: datetime) -> dict[str, Any]:
    address = address_of(subscription.subscription_id)
    body = {"type": found.kind, "timestamp": found.at.isoformat(), "data": found.data}
    return {
        "idempotency_key": message_key(address, found.kind, found.occasion, VERSION),
        "as_of": today,
        "customer_id": address,
        "strategy_id": found.kind,
        "occasion": found.occasion,
        "version": VERSION,
        "purpose": INTERNAL,
        "channel": address,
        "rank": 0,
        "body": json.dumps(body, ensure_ascii=False, default=str),
        "is_replay": False,
        "useful_until": today + timedelta(days=USEFUL_DAYS),
        "state": PLANNED,
        "attempts": 0,
        "not_before": at,
        "updated_at": at,
    }
