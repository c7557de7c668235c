"""Messages to owners of alerts and incidents: in the outbox next to those to customers, with the customer's history."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select

from retention.acting.notices import Brief, Look, Notice, owner_of, write_notice
from retention.acting.watched import AlertLog
from retention.deciding.plan import HOLDOUT, TREATED
from retention.store.keys import message_key
from retention.store.ledger import INTERNAL, SENT, chunks
from retention.store.outbox import PLANNED
from retention.store.tables import ALERTS, OUTBOX, PLAN_ROWS

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from company.policy import Policy
    from retention.acting.watched import Watched

VERSION = "1"
USEFUL_DAYS = 7  # after which a notice that could not leave is late
_HISTORY = timedelta(days=90)
_OWNER = "owner:"


def address_of(owner: str) -> str:
    """Return what stands in the place of a customer in messages to an owner of alerts."""
    return f"{_OWNER}{owner}"


def owner_in(address: str) -> str:
    """Return the owner to whom a message goes; raises ValueError when it goes to a customer."""
    if not is_owner(address):
        raise ValueError(f"The message goes to the customer {address}, and to no owner.")
    return address.removeprefix(_OWNER)


def is_owner(address: str) -> bool:
    """Return whether a message goes to an owner of alerts."""
    return address.startswith(_OWNER)


@dataclass(frozen=True, kw_only=True)
class NoticeWriter:
    """Writes the notices of a look at one moment, in the languages and by the channels of their owners."""

    policy: "Policy"
    timezone: str
    at: datetime

    @property
    def today(self) -> date:
        """The company's day."""
        return self.at.astimezone(ZoneInfo(self.timezone)).date()

    def write(
        self, connection: Connection, look: Look, everything: "Mapping[str, Watched]"
    ) -> Sequence[Mapping[str, Any]]:
        """Write one message per notice into the outbox; its key is that of owner, kind and occasion."""
        named = (everything[each] for notice in look.notices for each, _ in notice.items)
        customers = {each.row["customer_id"] for each in named if isinstance(each, AlertLog)}
        briefs = read_briefs(connection, sorted(customers), at=self.at)
        rows = [self._make_row(notice, self._text(notice, everything, briefs)) for notice in look.notices]
        if rows:
            connection.execute(insert(OUTBOX), rows)
        return rows

    def _text(self, notice: Notice, everything: "Mapping[str, Watched]", briefs: Mapping[str, Brief]) -> str:
        owner = owner_of(notice.owner, self.policy)
        zone = ZoneInfo(owner.working_time.timezone or self.timezone)
        return write_notice(notice, everything, briefs, language=owner.language, zone=zone)

    def _make_row(self, notice: Notice, text: str) -> dict[str, Any]:
        """Return the planned message of a notice."""
        address, owner = address_of(notice.owner), owner_of(notice.owner, self.policy)
        return {
            "idempotency_key": message_key(address, notice.kind, notice.occasion, VERSION),
            "as_of": self.today,
            "customer_id": address,
            "strategy_id": notice.kind,
            "occasion": notice.occasion,
            "version": VERSION,
            "purpose": INTERNAL,
            "channel": owner.channel,
            "rank": 0,
            "body": json.dumps({"text_en": text, f"text_{owner.language}": text}, ensure_ascii=False),
            "is_replay": notice.is_replay,
            "useful_until": self.today + timedelta(days=USEFUL_DAYS),
            "state": PLANNED,
            "attempts": 0,
            "not_before": self.at,
            "updated_at": self.at,
        }


def read_briefs(connection: Connection, customers: Sequence[str], *, at: datetime) -> dict[str, Brief]:
    """Return each customer's history in brief: closed alerts, messages of 90 days, what the latest plan proposes."""
    briefs = dict.fromkeys(customers, Brief())
    for part in chunks(customers):
        earlier = _collect(connection, _closed_alerts(part))
        messages = _collect(connection, _messages(part, since=at - _HISTORY))
        plans = {row["customer_id"]: row for row in connection.execute(_plans(part)).mappings()}
        for customer in part:
            plan = plans.get(customer)
            is_proposed = plan is not None and plan["arm"] == TREATED
            briefs[customer] = Brief(
                earlier=tuple((row["at"], row["what"]) for row in earlier.get(customer, ())),
                messages=tuple((row["at"], row["what"]) for row in messages.get(customer, ())),
                proposal=plan["strategy_id"] if plan is not None and is_proposed else None,
                is_held_out=plan is not None and plan["arm"] == HOLDOUT,
            )
    return briefs


def _closed_alerts(customers: Sequence[str]) -> Any:  # noqa: ANN401 - a query of three columns
    columns = (ALERTS.c.customer_id, ALERTS.c.closed_at.label("at"), ALERTS.c.feedback.label("what"))
    is_closed = ALERTS.c.customer_id.in_(customers) & ALERTS.c.feedback.is_not(None)
    return select(*columns).where(is_closed).order_by(ALERTS.c.closed_at)


def _messages(customers: Sequence[str], *, since: datetime) -> Any:  # noqa: ANN401 - a query of three columns
    columns = (OUTBOX.c.customer_id, OUTBOX.c.left_at.label("at"), OUTBOX.c.strategy_id.label("what"))
    is_sent = OUTBOX.c.customer_id.in_(customers) & (OUTBOX.c.state == SENT) & (OUTBOX.c.left_at >= since)
    return select(*columns).where(is_sent).order_by(OUTBOX.c.left_at)


def _plans(customers: Sequence[str]) -> Any:  # noqa: ANN401 - a query of three columns
    columns = (PLAN_ROWS.c.customer_id, PLAN_ROWS.c.arm, PLAN_ROWS.c.strategy_id)
    return select(*columns).where(PLAN_ROWS.c.customer_id.in_(customers)).order_by(PLAN_ROWS.c.as_of)


def _collect(connection: Connection, query: Any) -> "dict[str, list[RowMapping]]":  # noqa: ANN401 - as above
    found: dict[str, list[RowMapping]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["customer_id"], []).append(row)
    return found
