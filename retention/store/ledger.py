"""The ledger: what was done to whom, and who was held out. Append-only."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from more_itertools import chunked
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, insert, or_, select

from retention.deciding.plan import CONTROL, HOLDOUT, TREATED
from retention.store.database import Database
from retention.store.keys import entry_id
from retention.store.tables import LEDGER, OUTBOX

if TYPE_CHECKING:
    import pandas as pd

    from company.policy.units import Period

ASSIGNED = "assigned"
INTERNAL = "internal"  # the purpose of messages to colleagues and to programs, which are no treatment of anybody
# what becomes of a message: the states of the outbox in which it rests
SENT, UNKNOWN, FAILED, LATE, CAPPED, HELD = "sent", "unknown", "failed", "late", "capped", "held"
STOPPED = (FAILED, LATE, CAPPED, HELD)
REDRIVEN = "redriven"
# what the receiver reports afterwards
DELIVERED, OPENED, REDEEMED = "delivered", "opened", "redeemed"
CONTACTS = (SENT, UNKNOWN, DELIVERED, OPENED, REDEEMED)  # events by which a customer was, or may have been, contacted
_MOST_KEYS = 500  # values of one `in`


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that became of a message; `at` is when it was recorded, `happened_at` the moment it counts for."""

    key: str
    event: str
    at: datetime
    happened_at: datetime


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which messages are meant: of a strategy, of plans since a day, of some customers; all where nothing is said."""

    strategy_id: str | None = None
    since: date | None = None
    customers: frozenset[str] | None = None

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Return what a database decides of it."""
        conditions = [] if self.strategy_id is None else [table.c.strategy_id == self.strategy_id]
        return conditions if self.since is None else [*conditions, table.c.as_of >= self.since]

    def has(self, *customer: str) -> bool:
        """Tell whether the customer of a row is meant: there may be more of them than one query takes."""
        return self.customers is None or self.customers.issuperset(customer)


class Ledger:
    """One row per thing done or withheld; `cost` sums to the money committed, a message stopped gives its cost back."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def count_events(self, which: Which | None = None) -> Counter[tuple[str, str]]:
        """Return how many messages of each strategy have each event, once however often it was recorded."""
        which = which or Which()
        columns = (LEDGER.c.strategy_id, LEDGER.c.event)
        whose = () if which.customers is None else (LEDGER.c.customer_id,)
        each = func.count(func.distinct(LEDGER.c.idempotency_key))
        is_meant = (LEDGER.c.arm == TREATED, *which.conditions(LEDGER))
        counts: Counter[tuple[str, str]] = Counter()
        with self._database.read() as connection:
            query = select(each, *columns, *whose).where(*is_meant).group_by(*columns, *whose).order_by(*columns)
            for count, strategy_id, event, *customer in connection.execute(query):
                counts[strategy_id, event] += count if which.has(*customer) else 0
        return counts

    def read(self) -> "pd.DataFrame":
        """Return every entry, the oldest plan first."""
        return self._database.read_frame(select(LEDGER).order_by(LEDGER.c.as_of, LEDGER.c.entry_id))

    def read_treated(self, *, is_replay: bool = True) -> "pd.DataFrame":
        """Return customer_id and, as `as_of`, the day of every message that left, may have left, or is under way."""
        day = func.coalesce(OUTBOX.c.left_on, OUTBOX.c.as_of).label("as_of")
        counts = OUTBOX.c.state.not_in(STOPPED) & _lived(OUTBOX.c.is_replay, is_replay=is_replay) & _is_to_customer()
        return self._database.read_frame(select(OUTBOX.c.customer_id, day).where(counts))

    def spent(self, as_of: date, *, period: "Period", is_replay: bool = True) -> float:
        """Return the money of the budget period of `as_of`, that of its own plan left out; see `spent_on`."""
        return sum(self.spent_on(as_of, period=period, is_replay=is_replay).values())

    def spent_on(self, as_of: date, *, period: "Period", is_replay: bool = True) -> dict[str, float]:
        """Return the money of the budget period of `as_of` by strategy, that of its own plan left out.

        A message counts on the day on which it left, and on its plan's day while it is under way; one that was stopped
        costs nothing. A replayed day counts replayed messages too, any other day only those that really left.
        """
        first, end = period_of(as_of, period)
        day = func.coalesce(OUTBOX.c.left_on, OUTBOX.c.as_of)
        counts = (day >= first) & (day < end) & (OUTBOX.c.as_of != as_of) & OUTBOX.c.state.not_in(STOPPED)
        message = LEDGER.c.idempotency_key == OUTBOX.c.idempotency_key
        query = select(LEDGER.c.strategy_id, func.sum(LEDGER.c.cost)).select_from(LEDGER.join(OUTBOX, message))
        query = query.where((LEDGER.c.event == ASSIGNED) & counts & _lived(OUTBOX.c.is_replay, is_replay=is_replay))
        with self._database.read() as connection:
            return {
                str(strategy): float(total)
                for strategy, total in connection.execute(query.group_by(LEDGER.c.strategy_id))
            }

    def recent_contacts(self, as_of: date, *, days: int, is_replay: bool = True) -> set[str]:
        """Return who was contacted, or held out, by another day's plan less than `days` away from `as_of`.

        Contacted is to whom a message left, or may have left, or is under way; the day is that on which it left.
        """
        return {customer for customer, _ in self.read_last(as_of, days=days, is_replay=is_replay)}

    def read_last(self, as_of: date, *, days: int, is_replay: bool = True) -> dict[tuple[str, str], int]:
        """Return how many days away each customer's contact with a strategy is, or their being held out from it.

        Of several the nearest; what is `days` away or more is left out. See `recent_contacts` for what counts.
        """
        near = timedelta(days=days)

        def is_near(day: ColumnElement[date]) -> ColumnElement[bool]:
            return (day > as_of - near) & (day < as_of + near)

        day = func.coalesce(OUTBOX.c.left_on, OUTBOX.c.as_of)
        contacted = is_near(day) & (OUTBOX.c.as_of != as_of) & OUTBOX.c.state.not_in(STOPPED) & _is_to_customer()
        held_out = is_near(LEDGER.c.as_of) & (LEDGER.c.as_of != as_of) & LEDGER.c.arm.in_((HOLDOUT, CONTROL))
        queries = [
            select(table.c.customer_id, table.c.strategy_id, moment.label("day")).where(
                condition & _lived(table.c.is_replay, is_replay=is_replay)
            )
            for table, condition, moment in ((OUTBOX, contacted, day), (LEDGER, held_out, LEDGER.c.as_of))
        ]
        last: dict[tuple[str, str], int] = {}
        with self._database.read() as connection:
            for customer, strategy, moment in (
                row for query in queries for row in connection.execute(query.distinct())
            ):
                away = abs((as_of - moment).days)
                last[customer, strategy] = min(away, last.get((customer, strategy), away))
        return last

    def read_contacted_holdout(self, *, since: date, after: datetime) -> "pd.DataFrame":
        """Return the contacts recorded after a moment with customers who were held out on or after a day."""
        held = select(LEDGER.c.customer_id).where((LEDGER.c.arm == HOLDOUT) & (LEDGER.c.as_of >= since))
        is_contact = LEDGER.c.event.in_(CONTACTS) & (LEDGER.c.as_of >= since) & (LEDGER.c.recorded_at > after)
        query = select(LEDGER).where(is_contact & LEDGER.c.customer_id.in_(held))
        return self._database.read_frame(query.order_by(LEDGER.c.recorded_at, LEDGER.c.entry_id))


def _is_to_customer() -> ColumnElement[bool]:
    return OUTBOX.c.purpose != INTERNAL


def _lived(column: ColumnElement[bool], *, is_replay: bool) -> ColumnElement[bool]:
    return or_(column.is_(False), is_replay)  # type: ignore[arg-type]  # a plain truth value is accepted


def period_of(as_of: date, period: "Period") -> tuple[date, date]:
    """Return the first day of the calendar period that `as_of` lies in, and the first day after it."""
    if period in {"day", "week"}:
        first = as_of - timedelta(days=as_of.weekday() if period == "week" else 0)
        return first, first + timedelta(days=7 if period == "week" else 1)
    months = {"month": 1, "quarter": 3, "year": 12}[period]
    start = (as_of.month - 1) // months * months
    ahead = start + months
    return date(as_of.year, start + 1, 1), date(as_of.year + ahead // 12, ahead % 12 + 1, 1)


_COPIED = (
    "customer_id", "strategy_id", "arm", "channel", "cost", "score", "model_version", "propensity",
    "planned_strategy_id", "effect_group", "propensities", "version",
)  # fmt: skip


def assign_entries(
    as_of: date, plan: "pd.DataFrame", *, keys: Mapping[str, str], at: datetime, happened_at: datetime, is_replay: bool
) -> "pd.DataFrame":
    """Return one entry for everyone whom a plan chose: treats, holds out or, to explore, holds back.

    `keys` are those of the messages, by customer.
    """
    chosen = plan.loc[plan["arm"].isin([TREATED, HOLDOUT, CONTROL])]
    identities = zip(chosen["customer_id"], chosen["strategy_id"], chosen["arm"], strict=True)
    ids = [entry_id(as_of, *identity, ASSIGNED) for identity in identities]
    pairs = zip(chosen["customer_id"], chosen["arm"], strict=True)
    message_keys = np.array([keys.get(customer) if arm == TREATED else None for customer, arm in pairs], object)
    return chosen[list(_COPIED)].assign(
        entry_id=ids, as_of=as_of, event=ASSIGNED, idempotency_key=message_keys, happened_at=happened_at,
        is_replay=is_replay, recorded_at=at,
    )  # fmt: skip


def record(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write what became of messages; a message stopped gives its cost back, a re-driven one takes it again."""
    known = _assignments(connection, [entry.key for entry in entries])
    counts = _count_events(connection, list(known))
    rows = [_row(known[entry.key], entry, counts) for entry in entries if entry.key in known]
    if rows:
        connection.execute(insert(LEDGER), rows)


def record_once(connection: Connection, entry: Entry) -> bool:
    """Write an event that a message has at most once, such as that it was opened; tells whether it was new."""
    if _count_events(connection, [entry.key])[entry.key, entry.event]:
        return False
    record(connection, [entry])
    return True


def _assignments(connection: Connection, keys: Sequence[str]) -> dict[str, RowMapping]:
    query = select(LEDGER).where(LEDGER.c.event == ASSIGNED)
    rows = (
        row
        for part in chunks(keys)
        for row in connection.execute(query.where(LEDGER.c.idempotency_key.in_(part))).mappings()
    )
    return {row["idempotency_key"]: row for row in rows}


def _count_events(connection: Connection, keys: Sequence[str]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    query = select(LEDGER.c.idempotency_key, LEDGER.c.event)
    for part in chunks(keys):
        rows = connection.execute(query.where(LEDGER.c.idempotency_key.in_(part)))
        counts.update((row.idempotency_key, row.event) for row in rows)
    return counts


def chunks(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    """Yield `keys` in pieces that every database accepts as the values of one `in`."""
    return chunked(keys, _MOST_KEYS)


def _row(assignment: RowMapping, entry: Entry, counts: Counter[tuple[str, str]]) -> dict[str, Any]:
    parts = (assignment["as_of"], assignment["customer_id"], assignment["strategy_id"], assignment["arm"])
    repetition = counts[entry.key, entry.event]
    counts[entry.key, entry.event] += 1
    sign = -1 if entry.event in STOPPED else int(entry.event == REDRIVEN)
    return dict(assignment) | {
        "entry_id": entry_id(*parts, entry.event, repetition=repetition),
        "event": entry.event,
        "cost": sign * assignment["cost"] if sign else 0.0,
        "happened_at": entry.happened_at,
        "recorded_at": entry.at,
    }
