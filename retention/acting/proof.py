"""The proof that plans, ledger, outbox and receivers agree, message by message."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping, func, select

from retention.acting.channels.base import AskLaterError, UnclearError, route
from retention.deciding.plan import TREATED
from retention.store.ledger import ASSIGNED, INTERNAL, SENT, STOPPED, UNKNOWN
from retention.store.outbox import CLAIMED, PLANNED, UNAPPROVED
from retention.store.tables import LEDGER, OUTBOX, PLAN_ROWS

if TYPE_CHECKING:
    from retention.acting.channels.base import Channel
    from retention.store.store import Store

RESTING = (SENT, UNKNOWN, *STOPPED)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How many treatments were planned, messages written, left and confirmed, and one sentence per disagreement."""

    planned: int
    messages: int
    left: int
    confirmed: int
    unasked: int
    disagreements: tuple[str, ...]


def prove(store: "Store", channels: Mapping[str, "Channel"], *, replays: Mapping[str, "Channel"]) -> Proof:
    """Compare what was planned, what the ledger holds, where messages rest, and what receivers have.

    Args:
        store: plans, ledger and outbox.
        channels: by which messages really left.
        replays: by which messages of replayed days left.
    """
    with store.database.read() as connection:
        treated = select(PLAN_ROWS.c.customer_id, PLAN_ROWS.c.strategy_id).where(PLAN_ROWS.c.arm == TREATED)
        planned = Counter((row[0], row[1]) for row in connection.execute(treated))
        messages = list(connection.execute(select(OUTBOX).order_by(OUTBOX.c.as_of, OUTBOX.c.rank)).mappings())
        counts = select(LEDGER.c.idempotency_key, LEDGER.c.event, func.count()).where(LEDGER.c.arm == TREATED)
        events: dict[str, dict[str, int]] = {}
        for key, event, count in connection.execute(counts.group_by(LEDGER.c.idempotency_key, LEDGER.c.event)):
            events.setdefault(key, {})[event] = count
    treatments = [row for row in messages if row["purpose"] != INTERNAL]  # messages to owners are in no plan
    found = [*_compare_plans(planned, treatments), *_compare_ledger(treatments, events)]
    left = [row for row in messages if row["state"] == SENT]
    answers = [_ask(route(replays if row["is_replay"] else channels, row["channel"]), row) for row in left]
    missing = [row for row, answer in zip(left, answers, strict=True) if answer is False]
    found += [
        f"{row['idempotency_key']} was sent by {row['channel']}, and its receiver has not got it." for row in missing
    ]
    return Proof(
        planned=planned.total(),
        messages=len(messages),
        left=len(left),
        confirmed=answers.count(True),
        unasked=answers.count(None),
        disagreements=tuple(found),
    )


def _compare_plans(planned: Counter[tuple[str, str]], messages: Sequence[RowMapping]) -> Iterator[str]:
    """Yield treatments without a message and messages without a treatment; a repeated occasion has one message."""
    written = Counter((row["customer_id"], row["strategy_id"]) for row in messages)
    for pair in planned.keys() - written.keys():
        yield f"{pair[0]} is treated with {pair[1]} by a plan, and no message was written."
    for pair, count in written.items():
        if count > planned[pair]:
            yield f"{pair[0]} has {count} messages of {pair[1]} and {planned[pair]} treatments."


def _compare_ledger(messages: Sequence[RowMapping], events: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield messages whose state is not what the ledger holds of them, and entries without a message."""
    for row in messages:
        key, state = row["idempotency_key"], row["state"]
        known = events.get(key, {})
        if known.get(ASSIGNED, 0) != 1:
            yield f"{key} is assigned {known.get(ASSIGNED, 0)} times in the ledger."
        if known.get(SENT, 0) > 1:
            yield f"{key} was sent {known[SENT]} times by the ledger."
        if state in RESTING and not known.get(state) and not _is_former(row):
            yield f"{key} is {state} in the outbox, of which the ledger knows nothing."
        if state in {UNAPPROVED, PLANNED, CLAIMED} and known.get(SENT):
            yield f"{key} is {state} in the outbox, and sent by the ledger."
    keys = {row["idempotency_key"] for row in messages}
    for key in events.keys() - keys - {None}:
        yield f"The ledger knows a message {key} that is not in the outbox."


def _is_former(row: RowMapping) -> bool:
    """Tell whether a message rested before messages were claimed, when a person's decision left no second entry."""
    return row["claimed_at"] is None and row["settled_by"] is not None


def _ask(channel: "Channel", row: RowMapping) -> bool | None:
    if not channel.can_confirm or row["claimed_at"] is None:  # or sent by a former release, by another channel
        return None
    try:
        return channel.find(row["idempotency_key"]) is not None
    except (UnclearError, AskLaterError):
        return None
