"""Plans: committed once per day, with their ledger entries and messages, and never changed."""

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from retention.deciding.plan import COLUMNS, HOLDOUT, TREATED
from retention.deciding.prices import COLUMNS as PRICE_COLUMNS
from retention.store.database import Database, insert_frame
from retention.store.ledger import assign_entries, chunks
from retention.store.messages import write_messages
from retention.store.tables import LEDGER, OUTBOX, PLAN_PRICES, PLAN_ROWS, PLANS

if TYPE_CHECKING:
    import pandas as pd

    from retention.deciding.strategies import Strategy


class Plans:
    """One plan per day."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def commit(
        self,
        as_of: date,
        plan: "pd.DataFrame",
        *,
        strategies: Sequence["Strategy"],
        at: datetime,
        prices: "pd.DataFrame | None" = None,
        replayed_at: datetime | None = None,
        needs_approval: bool = False,
    ) -> "pd.DataFrame":
        """Commit a plan for good and return it: one transaction with its ledger entries and its messages.

        Args:
            as_of: the plan's day; once it has a plan, that one is returned and `plan` is ignored.
            plan: the rows that `retention.deciding.plan.plan` returns.
            strategies: the library that the plan's strategies come from; gives the messages their content.
            at: the moment of the commitment.
            prices: the prices that came with the plan.
            replayed_at: the moment of the past that a replayed day counts for; its messages leave by no real channel.
            needs_approval: whether its messages wait for a person's approval (`retention.store.plan_approvals`).

        A message of the same customer, strategy, occasion and version as an earlier one is not written again.
        """
        _require_day(as_of, plan)
        is_replay = replayed_at is not None
        messages = write_messages(
            as_of, plan, strategies=strategies, at=at, is_replay=is_replay, needs_approval=needs_approval
        )
        keys = dict(zip(messages["customer_id"], messages["idempotency_key"], strict=True))
        entries = assign_entries(as_of, plan, keys=keys, at=at, happened_at=replayed_at or at, is_replay=is_replay)
        try:
            with self._database.write() as connection:
                if _is_committed(connection, as_of):
                    return _read(connection, as_of)
                connection.execute(insert(PLANS).values(_header(as_of, plan, at=at)))
                insert_frame(connection, PLAN_ROWS, plan.assign(as_of=as_of)[list(COLUMNS)])
                if prices is not None:
                    insert_frame(connection, PLAN_PRICES, prices.assign(as_of=as_of)[["as_of", *PRICE_COLUMNS]])
                before = _find_messages(connection, messages["idempotency_key"].tolist())
                insert_frame(connection, LEDGER, entries.loc[~entries["idempotency_key"].isin(before)])
                insert_frame(connection, OUTBOX, messages.loc[~messages["idempotency_key"].isin(before)])
                return _read(connection, as_of)
        except IntegrityError:
            if not self.has(as_of):  # otherwise another process was first, and its plan holds
                raise
            return self.read(as_of)

    def has(self, as_of: date) -> bool:
        """Return whether a plan was committed for the day."""
        with self._database.read() as connection:
            return _is_committed(connection, as_of)

    def read(self, as_of: date) -> "pd.DataFrame":
        """Return the committed plan of a day, in its order; raises KeyError when there is none."""
        with self._database.read() as connection:
            if not _is_committed(connection, as_of):
                raise KeyError(f"No plan was committed for {as_of}.")
            return _read(connection, as_of)

    def read_prices(self, as_of: date) -> "pd.DataFrame":
        """Return the prices of a day's committed plan, one row per limit."""
        columns = [PLAN_PRICES.c[name] for name in PRICE_COLUMNS]
        query = select(*columns).where(PLAN_PRICES.c.as_of == as_of)
        return self._database.read_frame(query.order_by(PLAN_PRICES.c.resource))


def _require_day(as_of: date, plan: "pd.DataFrame") -> None:
    import pandas as pd

    days = pd.to_datetime(plan["as_of"]).dt.date
    if not days.eq(as_of).all():
        raise ValueError(f"A plan of {sorted(map(str, days.unique()))} cannot be committed for {as_of}.")


def _is_committed(connection: Connection, as_of: date) -> bool:
    return connection.scalar(select(PLANS.c.as_of).where(PLANS.c.as_of == as_of)) is not None


def _read(connection: Connection, as_of: date) -> "pd.DataFrame":
    import pandas as pd

    columns = [PLAN_ROWS.c[name] for name in COLUMNS]
    return pd.read_sql(select(*columns).where(PLAN_ROWS.c.as_of == as_of).order_by(PLAN_ROWS.c.rank), connection)


def _find_messages(connection: Connection, keys: Sequence[str]) -> set[str]:
    query = select(OUTBOX.c.idempotency_key)
    return {key for part in chunks(keys) for key in connection.scalars(query.where(OUTBOX.c.idempotency_key.in_(part)))}


def _header(as_of: date, plan: "pd.DataFrame", *, at: datetime) -> dict[str, Any]:
    from pandas.util import hash_pandas_object

    content = hash_pandas_object(plan[list(COLUMNS)], index=False).to_numpy()
    return {
        "as_of": as_of,
        "committed_at": at,
        "count_rows": len(plan),
        "count_treated": int(plan["arm"].eq(TREATED).sum()),
        "count_holdout": int(plan["arm"].eq(HOLDOUT).sum()),
        "amount_committed": float(plan["cost"].sum()),
        "fingerprint": sha256(content.tobytes()).hexdigest(),
    }
