"""The outbox: messages and their states, each move committed together with its ledger entry."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select, update

from retention.deciding.plan import TREATED
from retention.deciding.strategy_changes import find_settings
from retention.store.database import Database, exclusive_dispatch
from retention.store.keys import idempotency_key
from retention.store.ledger import FAILED, SENT, UNCERTAIN, record_delivery
from retention.store.tables import OUTBOX

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

    from retention.deciding.strategies import Strategy

PENDING, SENDING = "pending", "sending"


class Outbox:
    """One row per message: pending, then sending, then sent, failed or uncertain."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def read(self) -> "pd.DataFrame":
        """Return every message with its state, oldest plan first."""
        return self._database.read_frame(select(OUTBOX).order_by(OUTBOX.c.as_of, OUTBOX.c.rank))

    def in_state(self, state: str) -> "list[RowMapping]":
        """Return the messages in a state, in the order of the plans."""
        query = select(OUTBOX).where(OUTBOX.c.state == state)
        order = (OUTBOX.c.as_of, OUTBOX.c.rank, OUTBOX.c.idempotency_key)
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(*order)).mappings())

    def exclusive(self) -> AbstractContextManager[None]:
        """Return the one right to send, held for a block; raises StoreBusyError when another process has it."""
        return exclusive_dispatch(self._database.engine)

    def move(self, key: str, *, since: str, to: str, at: datetime, **values: Any) -> None:  # noqa: ANN401 - column values
        """Move one message from a state to another; raises ValueError when it is not in the first."""
        with self._database.write() as connection:
            _move(connection, key, since=since, to=to, at=at, **values)

    def finish(self, key: str, *, since: str, to: str, at: datetime, **values: Any) -> None:  # noqa: ANN401 - column values
        """Move one message to a state that the ledger records too, in one transaction."""
        with self._database.write() as connection:
            _move(connection, key, since=since, to=to, at=at, **values)
            record_delivery(connection, key, event=to, at=at)

    def settle(self, key: str, *, delivered: bool, by: str, at: datetime) -> None:
        """Let a person decide an uncertain message; raises ValueError when it is not uncertain."""
        self.finish(key, since=UNCERTAIN, to=SENT if delivered else FAILED, at=at, settled_by=by)


def _move(connection: Connection, key: str, *, since: str, to: str, at: datetime, **values: Any) -> None:  # noqa: ANN401
    is_movable = (OUTBOX.c.idempotency_key == key) & (OUTBOX.c.state == since)
    moved = connection.execute(update(OUTBOX).where(is_movable).values(state=to, updated_at=at, **values))
    if moved.rowcount != 1:
        raise ValueError(f"The message {key} is not {since}, so it cannot become {to}; read the outbox for its state.")


def write_messages(
    as_of: date, plan: "pd.DataFrame", *, strategies: Sequence["Strategy"], at: datetime
) -> "pd.DataFrame":
    """Return one pending message for everyone treated; no personal data, a channel asks for an address itself."""
    treated = plan.loc[plan["arm"] == TREATED, ["customer_id", "strategy_id", "channel", "rank"]]
    missing = sorted(set(treated["strategy_id"]) - {strategy.id for strategy in strategies})
    if missing:
        raise ValueError(f"The plan uses the strategies {missing}, which the library passed with it does not have.")
    pairs = list(zip(treated["customer_id"], treated["strategy_id"], strict=True))
    day = as_of.isoformat()
    return treated.assign(
        idempotency_key=[idempotency_key(as_of, *pair) for pair in pairs],
        as_of=as_of,
        body=[
            json.dumps({"as_of": day, "customer_id": customer, **_content(strategy)}, ensure_ascii=False)
            for (customer, _), strategy in zip(pairs, find_settings(pairs, strategies), strict=True)
        ],
        state=PENDING,
        attempts=0,
        not_before=at,
        updated_at=at,
    )


def _content(strategy: "Strategy") -> dict[str, Any]:
    modules = [module.model_dump(mode="json") for module in strategy.modules]
    head = {"strategy_id": strategy.id, "valid_days": strategy.valid_days, "modules": modules}
    return head | strategy.texts()
