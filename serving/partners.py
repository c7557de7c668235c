"""What happened, announced to partners' programs: to each what the role of its key may see, and nothing twice.

Replayed days are announced to nobody: a partner would act on the past.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select

from retention.acting.clock import CLOSED, RAISED, SUPERSEDED
from retention.store.answers import FOLDED
from retention.store.ledger import REDEEMED
from retention.store.subscriptions import Announcement, Subscription
from retention.store.tables import ALERT_EVENTS, ALERTS, LEDGER, PLANS
from serving.access import Access, Action, Condition, Grant, Question
from serving.sign_in.keys import ApiKey, ApiKeys
from serving.snapshot import NothingPublishedError, Snapshot

if TYPE_CHECKING:
    from sqlalchemy import RowMapping, Select

    from retention.store.store import Store

OVERLAP = timedelta(hours=1)  # what was committed late by a long transaction; nothing is announced twice
_OF_ALERT = (
    "alert_id", "as_of", "customer_id", "level", "tier", "score", "probability", "money_at_risk", "priority",
    "owner", "main_reason", "why_en", "why_zh", "raised_at",
)  # fmt: skip
_OF_REDEMPTION = ("as_of", "customer_id", "strategy_id", "channel", "version")


@dataclass(frozen=True, kw_only=True)
class Announcer:
    """Reads what happened from the operational store and the published snapshot, as each key may see it."""

    store: "Store"
    snapshot: Snapshot
    access: Access

    def announce(self, *, at: datetime) -> int:
        """Plan a message for everything new that an open webhook asked for; return how many."""
        return sum(self._announce_to(each, at=at) for each in self.store.subscriptions.read() if not each.ended_at)

    def _announce_to(self, subscription: Subscription, *, at: datetime) -> int:
        key = ApiKeys(self.store.database).find(subscription.key_id, at=at)
        if key is None or key.role not in self.access.roles_of("keys"):
            return 0
        since = max(subscription.announced_to - OVERLAP, subscription.made_at)
        reader = _Reader(announcer=self, grant=self._grant(key), since=since)
        today = at.astimezone(ZoneInfo(reader.timezone)).date()
        found = [
            each
            for kind in subscription.events
            if kind in KINDS and reader.grant.may(KINDS[kind].action)
            for each in KINDS[kind].read(reader)
        ]
        return self.store.subscriptions.announce(subscription, found, today=today, at=at)

    def _grant(self, key: ApiKey) -> Grant:
        moved = self.store.alerts.read_moved(key.owner) if key.owner is not None else {}
        return self.access.grant(key.role, owner=key.owner, region=key.region, **moved)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """What happened since a moment, of what a grant reaches."""

    announcer: Announcer
    grant: Grant
    since: datetime

    @property
    def timezone(self) -> str:
        """The company's time zone; UTC before the first publication."""
        return str(self._about.get("timezone", "UTC"))

    @property
    def _about(self) -> Mapping[str, Any]:
        try:
            rows = self.announcer.snapshot.ask(self.grant, Question(relation="about"))
        except NothingPublishedError:
            return {}
        return rows[0] if rows else {}

    def read(self, query: "Select[Any]") -> "list[RowMapping]":
        """Return rows of the store, of customers whom the grant reaches alone."""
        with self.announcer.store.database.read() as connection:
            rows = list(connection.execute(query).mappings())
        visible = self._find_visible({row["customer_id"] for row in rows if "customer_id" in row})
        return [row for row in rows if visible is None or row["customer_id"] in visible]

    def _find_visible(self, customers: set[str]) -> set[str] | None:
        rule = self.grant.access.rows[self.grant.access.roles[self.grant.role].rows]
        if rule == "true" or not customers:
            return None
        if self.grant.sees("customer_id") != "clear":
            return set()
        among = Condition(column="customer_id", comparison="in", value=sorted(customers))
        question = Question(relation="customers", columns=("customer_id",), where=(among,))
        try:
            return {row["customer_id"] for row in self.announcer.snapshot.ask(self.grant, question)}
        except NothingPublishedError:
            return set()

    def confine(self, row: "Mapping[str, Any] | RowMapping", names: tuple[str, ...]) -> dict[str, Any]:
        """Return those fields of a row that the grant sees clear."""
        return {name: row[name] for name in names if self.grant.sees(name) == "clear"}

    def ask(self, question: Question) -> list[dict[str, Any]]:
        """Return rows of the snapshot; none before the first publication."""
        try:
            return self.announcer.snapshot.ask(self.grant, question)
        except NothingPublishedError:
            return []


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of event: the action that it takes, and how those since a moment are read."""

    action: Action
    read: Callable[[_Reader], Iterator[Announcement]]


def _read_alert_events(
    reader: _Reader, kind: str, names: tuple[str, ...]
) -> Iterator[tuple["RowMapping", dict[str, Any], Announcement]]:
    event = ALERT_EVENTS.c
    columns = (*(ALERTS.c[name] for name in _OF_ALERT), event.number, event.event, event.feedback, event.done_at)
    of = ALERT_EVENTS.join(ALERTS, ALERTS.c.alert_id == event.alert_id)
    is_new: ColumnElement[bool] = (
        (event.done_at > reader.since) & event.event.in_(names) & ALERTS.c.is_replay.is_(False)
    )
    for row in reader.read(select(*columns).select_from(of).where(is_new).order_by(event.number)):
        data = reader.confine(row, _OF_ALERT)
        found = Announcement(kind=kind, occasion=str(row["number"]), at=row["done_at"], data=data)
        yield row, data, found


def _read_created(reader: _Reader) -> Iterator[Announcement]:
    for _, _, found in _read_alert_events(reader, "alert.created", (RAISED,)):
        yield found


def _read_closed(reader: _Reader) -> Iterator[Announcement]:
    for row, data, found in _read_alert_events(reader, "alert.closed", (CLOSED, SUPERSEDED, FOLDED)):
        data |= {"closed_as": row["event"], "feedback": row["feedback"]}
        yield found


def _read_plans(reader: _Reader) -> Iterator[Announcement]:
    for row in reader.read(select(PLANS).where(PLANS.c.committed_at > reader.since).order_by(PLANS.c.as_of)):
        committed_on = row["committed_at"].astimezone(ZoneInfo(reader.timezone)).date()
        if row["as_of"] >= committed_on:
            data = reader.confine(row, ("as_of", "count_treated", "count_holdout"))
            day: date = row["as_of"]
            yield Announcement(kind="plan.committed", occasion=day.isoformat(), at=row["committed_at"], data=data)


def _read_redeemed(reader: _Reader) -> Iterator[Announcement]:
    is_new = (LEDGER.c.recorded_at > reader.since) & (LEDGER.c.event == REDEEMED) & LEDGER.c.is_replay.is_(False)
    for row in reader.read(select(LEDGER).where(is_new).order_by(LEDGER.c.recorded_at)):
        data = reader.confine(row, _OF_REDEMPTION)
        yield Announcement(kind="outcome.redeemed", occasion=row["entry_id"], at=row["happened_at"], data=data)


def _read_measured(reader: _Reader) -> Iterator[Announcement]:
    latest = Condition(column="is_latest", comparison="=", value=True)
    since = reader.since.astimezone(ZoneInfo(reader.timezone)).date()
    for row in reader.ask(Question(relation="strategy_effects", where=(latest,))):
        if row["looked_on"] >= since:
            occasion = f"{row['strategy_id']} {row['looked_on']}"
            at = datetime.combine(row["looked_on"], time(), tzinfo=ZoneInfo(reader.timezone))
            yield Announcement(kind="outcome.measured", occasion=occasion, at=at, data=row)


KINDS = {
    "alert.created": Kind(action="alerts", read=_read_created),
    "alert.closed": Kind(action="alerts", read=_read_closed),
    "plan.committed": Kind(action="plan", read=_read_plans),
    "outcome.redeemed": Kind(action="subscribe", read=_read_redeemed),
    "outcome.measured": Kind(action="strategies", read=_read_measured),
}
