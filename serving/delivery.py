"""What became of messages: counts by state and what came of those that left, for who may see every customer."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from retention.store.ledger import INTERNAL, Which
from retention.store.subscriptions import is_partner
from serving.access import MASK_OF_TEXT, AccessDeniedError, Condition, Question
from serving.actor import Actor

PARTNER = "partner"
STATES = ("unapproved", "planned", "claimed", "sent", "unknown", "late", "capped", "held", "failed")
STEPS = ("assigned", "sent", "delivered", "opened", "clicked", "redeemed")
SHOWN = (
    "as_of", "customer_id", "strategy_id", "channel", "state", "attempts", "left_at", "updated_at", "receipt",
    "trouble", "settled_by", "is_replay",
)  # fmt: skip
TROUBLED = ("unknown", "failed", "late")


def choose_messages(actor: Actor, *, strategy_id: str | None, days: int | None, among: tuple[Condition, ...]) -> Which:
    """Return which messages are meant: of a strategy, of plans of the last days, of customers who meet conditions."""
    since = None if days is None else actor.about["as_of"] - timedelta(days=days - 1)
    customers = None
    if among:
        rows = actor.ask(Question(relation="customers", columns=("customer_id",), where=among))
        customers = frozenset(row["customer_id"] for row in rows)
    return Which(strategy_id=strategy_id, since=since, customers=customers)


def count_messages(actor: Actor, which: Which | None = None) -> list[dict[str, Any]]:
    """Return by channel how many messages are in each state, and how many of all were replays of days that are over."""
    _require_everybody(actor)
    channels: dict[str, dict[str, Any]] = {}
    for (channel, state, is_replay), count in actor.desk.store.outbox.count_states(which).items():
        medium = PARTNER if is_partner(channel) else channel
        row = channels.setdefault(medium, {"channel": medium, "all": 0, "replays": 0, **dict.fromkeys(STATES, 0)})
        row[state] += count
        row["all"] += count
        row["replays"] += count if is_replay else 0
    return [channels[name] for name in sorted(channels)]


def count_steps(actor: Actor, which: Which | None = None) -> dict[str, dict[str, int]]:
    """Return by strategy how many messages reached each step, from assigned to redeemed, replays included."""
    _require_everybody(actor)
    steps: dict[str, dict[str, int]] = {}
    for (strategy_id, event), count in actor.desk.store.ledger.count_events(which).items():
        steps.setdefault(strategy_id, {})[event] = count
    return steps


def list_messages(actor: Actor, state: str, *, limit: int, which: Which | None = None) -> list[dict[str, Any]]:
    """Return the messages in a state, of the customers and with the fields that the actor sees, the oldest first."""
    actor.require("delivery")
    rows = [dict(row) for row in actor.desk.store.outbox.read_state(state, which)[:limit]]
    visible = _find_visible(actor, [row["customer_id"] for row in rows])
    return [_confine(actor, row) for row in rows if visible is None or row["customer_id"] in visible]


def list_messages_of(actor: Actor, customer_id: str) -> list[dict[str, Any]]:
    """Return the messages of a customer whom the actor sees, the newest first, with what the role sees of plans."""
    if actor.sees("strategy_id") != "clear":
        return []
    names = ("as_of", "strategy_id", "channel", "state", "left_on", "is_replay")
    return [{name: row[name] for name in names} for row in actor.desk.store.outbox.read_customer(customer_id)]


def _find_visible(actor: Actor, customer_ids: list[str]) -> set[str] | None:
    """Return which of some customers the actor may see; None for somebody whose role sees all."""
    if _sees_everybody(actor):
        return None
    among = Condition(column="customer_id", comparison="in", value=customer_ids)
    question = Question(relation="customers", columns=("customer_id",), where=(among,))
    return {row["customer_id"] for row in actor.ask(question)}


def _confine(actor: Actor, row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in SHOWN} | {"owner": None}
    if row["purpose"] == INTERNAL:
        kind, _, name = row["customer_id"].partition(":")
        return shown | {"owner": name, "customer_id": None, "channel": PARTNER if kind == PARTNER else row["channel"]}
    return shown if actor.sees("customer_id") == "clear" else shown | {"customer_id": MASK_OF_TEXT}


def _require_everybody(actor: Actor) -> None:
    actor.require("delivery")
    if not _sees_everybody(actor):
        raise AccessDeniedError(f"The role {actor.grant.role} sees no figures of all customers.")


def _sees_everybody(actor: Actor) -> bool:
    return actor.grant.access.roles[actor.grant.role].rows == "all"
