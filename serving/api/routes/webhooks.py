"""Webhooks: what happens is posted to a partner's program, as far as the role of its key sees it."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from retention.acting.channels.http import Address
from retention.store.subscriptions import Subscription
from serving.actor import NotFoundError
from serving.api.caller import Caller, Program
from serving.api.hosts import check_host
from serving.api.idempotency import ConflictError, IdempotencyKey, write_once
from serving.api.listing import answer
from serving.partners import KINDS

router = APIRouter(tags=["webhooks"])
MOST = 20  # of one key
Event = Literal["alert.created", "alert.closed", "plan.committed", "outcome.redeemed", "outcome.measured"]


class Wanted(BaseModel):
    """Where to, and which events."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[Address, Field(max_length=500, description="https, on a host of `desk.api.webhook_hosts`.")]
    events: Annotated[list[Event], Field(min_length=1, max_length=len(KINDS))]


class Webhook(BaseModel):
    """A webhook, and how many of its messages are in each state: `failed` ones were given up."""

    subscription_id: str
    url: str
    events: list[str]
    made_at: datetime
    ended_at: datetime | None
    messages: dict[str, int]


class Made(Webhook):
    """A new webhook with its signing secret, which is shown to the one who made it."""

    secret: str


class Webhooks(BaseModel):
    """The webhooks of a key, the oldest first."""

    data: list[Webhook]


@router.get("/webhooks", response_model=Webhooks)
def list_webhooks(program: Program) -> Response:
    """Return the key's own webhooks."""
    program.require("subscribe")
    rows = program.desk.store.subscriptions.read(key_id=program.key.key_id)
    return answer(program, {"data": [_describe(program, each) for each in rows]})


@router.post("/webhooks", response_model=Made)
def add(program: Program, body: Wanted, idempotency_key: IdempotencyKey) -> Response:
    """Add one: events from now on are posted to it, signed as Standard Webhooks are."""
    program.require("subscribe")
    for event in body.events:
        program.require(KINDS[event].action)
    check_host(program, body.url)

    def act() -> dict[str, Any]:
        store = program.desk.store.subscriptions
        if sum(each.ended_at is None for each in store.read(key_id=program.key.key_id)) >= MOST:
            raise ConflictError(f"A key has at most {MOST} webhooks; end one first.")
        made = store.add(key_id=program.key.key_id, url=body.url, events=body.events, at=program.now)
        program.record("webhook", subject=made.subscription_id, detail=f"{urlsplit(made.url).hostname}: {body.events}")
        return {**_describe(program, made), "secret": made.secret}

    return answer(program, write_once(program, idempotency_key, body, act))


@router.post("/webhooks/{subscription_id}/end", response_model=Webhook)
def end(
    program: Program, subscription_id: Annotated[str, Path(max_length=40)], idempotency_key: IdempotencyKey
) -> Response:
    """End one of the key's own: nothing more is announced, and what waits is refused."""
    program.require("subscribe")
    _find(program, subscription_id)

    def act() -> dict[str, Any]:
        program.desk.store.subscriptions.end(subscription_id, at=program.now)
        program.record("webhook", subject=subscription_id, detail="ended")
        return _describe(program, _find(program, subscription_id))

    return answer(program, write_once(program, idempotency_key, None, act))


def _find(program: Caller, subscription_id: str) -> Subscription:
    own = program.desk.store.subscriptions.read(key_id=program.key.key_id)
    found = next((each for each in own if each.subscription_id == subscription_id), None)
    if found is None:
        raise NotFoundError
    return found


def _describe(program: Caller, of: Subscription) -> dict[str, Any]:
    counts = program.desk.store.subscriptions.count_states(of.subscription_id)
    names = ("subscription_id", "url", "events", "made_at", "ended_at")
    row = {name: getattr(of, name) for name in names} | {"messages": dict(counts)}
    return {**row, "made_at": of.made_at.isoformat(), "ended_at": of.ended_at.isoformat() if of.ended_at else None}
