"""Messages of a plan: one for everyone treated, with its content in every language and no personal data."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from retention.deciding.plan import TREATED
from retention.deciding.strategy_changes import find_settings
from retention.store.keys import message_key
from retention.store.outbox import PLANNED, UNAPPROVED

if TYPE_CHECKING:
    import pandas as pd

    from retention.deciding.strategies import Strategy


def write_messages(
    as_of: date,
    plan: "pd.DataFrame",
    *,
    strategies: Sequence["Strategy"],
    at: datetime,
    is_replay: bool,
    needs_approval: bool = False,
) -> "pd.DataFrame":
    """Return one planned message for everyone treated; a channel's address is looked up when it is sent.

    A message's key is that of its customer, strategy, occasion and version; a plan without occasions has its own day
    for one, and a strategy without versions the version 1. It is useful for the strategy's valid days, counted from the
    plan's day, and leaves as much later as its version waits. Those of a plan that needs an approval wait for it; a
    replayed day needs none, since they reach nobody.
    """
    import pandas as pd

    treated = plan.loc[plan["arm"] == TREATED]
    missing = sorted(set(treated["strategy_id"]) - {strategy.id for strategy in strategies})
    if missing:
        raise ValueError(f"The plan uses the strategies {missing}, which the library passed with it does not have.")
    messages = treated[["customer_id", "strategy_id", "channel", "rank"]].assign(
        occasion=treated.get("occasion", as_of.isoformat()),
        version=treated.get("version", pd.Series(index=treated.index, dtype=object)).fillna("1"),
    )
    identity = [messages[name] for name in ("customer_id", "strategy_id", "occasion", "version")]
    pairs = zip(messages["customer_id"], messages["strategy_id"], strict=True)
    settings = list(find_settings(pairs, strategies))
    return messages.assign(
        idempotency_key=[message_key(*parts) for parts in zip(*identity, strict=True)],
        as_of=as_of,
        purpose=[each.purpose for each in settings],
        body=[json.dumps(_content(each), ensure_ascii=False) for each in settings],
        useful_until=[as_of + timedelta(days=each.valid_days) for each in settings],
        is_replay=is_replay,
        state=UNAPPROVED if needs_approval and not is_replay else PLANNED,
        attempts=0,
        not_before=[at + timedelta(days=each.version.wait_days if each.version else 0) for each in settings],
        updated_at=at,
    )


_INTERNAL = ("agent", "message")  # what they cost is no benefit to the customer


def _content(strategy: "Strategy") -> dict[str, Any]:
    """Return what the receiver gets: texts and offers, none of the figures that the plan was made by."""
    offers = [{"kind": each.kind, "amount": each.amount} for each in strategy.modules if each.kind not in _INTERNAL]
    return {"campaign": strategy.id, "offers": offers, **strategy.texts()}
