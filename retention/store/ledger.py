"""The ledger: what was done to whom, and who was held out. Append-only."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection, func, insert, select

from retention.deciding.plan import CONTROL, HOLDOUT, TREATED
from retention.store.database import Database
from retention.store.keys import entry_id, idempotency_key
from retention.store.tables import LEDGER

if TYPE_CHECKING:
    import pandas as pd

    from company.policy.units import Period

ASSIGNED, SENT, FAILED, UNCERTAIN = "assigned", "sent", "failed", "uncertain"


class Ledger:
    """One row per thing done or withheld; `cost` sums to the money committed, a failure gives its cost back."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def read(self) -> "pd.DataFrame":
        """Return every entry, the oldest plan first."""
        return self._database.read_frame(select(LEDGER).order_by(LEDGER.c.as_of, LEDGER.c.entry_id))

    def read_treated(self) -> "pd.DataFrame":
        """Return customer_id and as_of of every message that a plan assigned."""
        is_message = (LEDGER.c.event == ASSIGNED) & (LEDGER.c.arm == TREATED)
        return self._database.read_frame(select(LEDGER.c.customer_id, LEDGER.c.as_of).where(is_message))

    def spent(self, as_of: date, *, period: "Period") -> float:
        """Return the money committed in the budget period of `as_of` by the plans of its other days."""
        return sum(self.spent_on(as_of, period=period).values())

    def spent_on(self, as_of: date, *, period: "Period") -> dict[str, float]:
        """Return the same by strategy."""
        first, end = period_of(as_of, period)
        is_other_day = (LEDGER.c.as_of >= first) & (LEDGER.c.as_of < end) & (LEDGER.c.as_of != as_of)
        query = select(LEDGER.c.strategy_id, func.sum(LEDGER.c.cost)).where(is_other_day).group_by(LEDGER.c.strategy_id)
        with self._database.read() as connection:
            return {str(strategy): float(total) for strategy, total in connection.execute(query)}

    def recent_contacts(self, as_of: date, *, days: int) -> set[str]:
        """Return who was chosen, treated or held out, by another day's plan less than `days` away from `as_of`."""
        near = timedelta(days=days)
        is_near = (LEDGER.c.as_of > as_of - near) & (LEDGER.c.as_of < as_of + near) & (LEDGER.c.as_of != as_of)
        query = select(LEDGER.c.customer_id).distinct().where(is_near & (LEDGER.c.event == ASSIGNED))
        with self._database.read() as connection:
            return set(connection.scalars(query))


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
    "planned_strategy_id", "effect_group", "propensities",
)  # fmt: skip


def assign_entries(as_of: date, plan: "pd.DataFrame", *, at: datetime) -> "pd.DataFrame":
    """Return one entry for everyone whom a plan chose: treats, holds out or, to explore, holds back."""
    chosen = plan.loc[plan["arm"].isin([TREATED, HOLDOUT, CONTROL])]
    identities = list(zip(chosen["customer_id"], chosen["strategy_id"], chosen["arm"], strict=True))
    ids = [entry_id(as_of, *identity, ASSIGNED) for identity in identities]
    keys = np.array(
        [idempotency_key(as_of, who, what) if arm == TREATED else None for who, what, arm in identities], object
    )
    return chosen[list(_COPIED)].assign(entry_id=ids, as_of=as_of, event=ASSIGNED, idempotency_key=keys, recorded_at=at)


def record_delivery(connection: Connection, key: str, *, event: str, at: datetime) -> None:
    """Write what became of a message, once; a failure gives its cost back."""
    is_assignment = (LEDGER.c.idempotency_key == key) & (LEDGER.c.event == ASSIGNED)
    assignment = dict(connection.execute(select(LEDGER).where(is_assignment)).mappings().one())
    parts = (assignment["as_of"], assignment["customer_id"], assignment["strategy_id"], assignment["arm"])
    identity = entry_id(*parts, event)
    if connection.scalar(select(LEDGER.c.entry_id).where(LEDGER.c.entry_id == identity)) is not None:
        return
    cost = -assignment["cost"] if event == FAILED else 0.0
    entry = assignment | {"entry_id": identity, "event": event, "cost": cost, "recorded_at": at}
    connection.execute(insert(LEDGER).values(entry))
