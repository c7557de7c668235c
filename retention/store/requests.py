"""What people and sensors ask of the pipeline: pass a gate, train, review a model. Every asking is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from retention.store.tables import GATE_OVERRIDES, MODEL_EVENTS, RETRAIN_REQUESTS

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

APPROVED, REJECTED, PROMOTED, ROLLED_BACK = "approved", "rejected", "promoted", "rolled_back"
REVIEWS, MOVES = frozenset({APPROVED, REJECTED}), frozenset({PROMOTED, ROLLED_BACK})
HELD_BACK = frozenset({"drift", "performance"})


@dataclass(frozen=True, kw_only=True)
class GateOverride:
    """A person let the gate at `seam` pass for one day."""

    seam: str
    as_of: date
    granted_by: str
    reason: str
    granted_at: datetime

    @property
    def override_id(self) -> str:
        """The same for the same seam and day."""
        return _digest("override", self.seam, self.as_of.isoformat())


@dataclass(frozen=True, kw_only=True)
class RetrainRequest:
    """A wish for a new model, with its evidence and what was decided about it."""

    trigger: str
    as_of: date
    requested_at: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    is_accepted: bool = False
    decision: str = ""

    @property
    def request_id(self) -> str:
        """The same for the same trigger and day."""
        return _digest("retrain", self.trigger, self.as_of.isoformat())


@dataclass(frozen=True, kw_only=True)
class ModelEvent:
    """Something that happened to a model version: approved, rejected, promoted or rolled_back (to it).

    `number` counts all events; `request_id` is the retrain request that the version answers, where there was one.
    """

    number: int
    version: str
    event: str
    decided_by: str
    comment: str
    recorded_at: datetime
    request_id: str | None = None


def _digest(*parts: str) -> str:
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def find_override(connection: "Connection", seam: str, as_of: date) -> GateOverride | None:
    """Return the override of a seam for a day, None when there is none."""
    here = (GATE_OVERRIDES.c.seam == seam) & (GATE_OVERRIDES.c.as_of == as_of)
    row = connection.execute(select(GATE_OVERRIDES).where(here)).mappings().first()
    return None if row is None else GateOverride(**{name: row[name] for name in GateOverride.__dataclass_fields__})


def record_override(connection: "Connection", granted: GateOverride) -> GateOverride:
    """Record an override once; return the one that holds."""
    known = find_override(connection, granted.seam, granted.as_of)
    if known is not None:
        return known
    values = {name: getattr(granted, name) for name in GateOverride.__dataclass_fields__}
    connection.execute(insert(GATE_OVERRIDES).values(override_id=granted.override_id, **values))
    return granted


def record_request(connection: "Connection", asked: RetrainRequest, *, cooldown_days: int) -> RetrainRequest:
    """Decide a request once and record it; return it with its decision."""
    same = select(RETRAIN_REQUESTS).where(RETRAIN_REQUESTS.c.request_id == asked.request_id)
    known = connection.execute(same).mappings().first()
    if known is not None:
        return _request_of(known)
    hurdle = _hurdle(connection, asked, cooldown_days=cooldown_days)
    decided = replace(asked, is_accepted=hurdle is None, decision=hurdle or "granted")
    values = {name: getattr(decided, name) for name in RetrainRequest.__dataclass_fields__}
    values["evidence"] = json.dumps(dict(decided.evidence), ensure_ascii=False, sort_keys=True, default=str)
    connection.execute(insert(RETRAIN_REQUESTS).values(request_id=decided.request_id, **values))
    return decided


def _hurdle(connection: "Connection", asked: RetrainRequest, *, cooldown_days: int) -> str | None:
    if asked.trigger not in HELD_BACK:
        return None
    table, near = RETRAIN_REQUESTS.c, timedelta(days=cooldown_days)
    is_near = (table.as_of > asked.as_of - near) & (table.as_of < asked.as_of + near)
    query = select(RETRAIN_REQUESTS).where(table.is_accepted & is_near & table.trigger.in_(HELD_BACK))
    last = connection.execute(query.order_by(table.as_of.desc())).mappings().first()
    if last is None:
        return None
    return f"put off: the request of {last['as_of']} ({last['trigger']}) is less than {cooldown_days} days old"


def _request_of(row: "RowMapping") -> RetrainRequest:
    values = {name: row[name] for name in RetrainRequest.__dataclass_fields__}
    return RetrainRequest(**(values | {"evidence": json.loads(row["evidence"])}))


def record_event(connection: "Connection", happened: ModelEvent) -> ModelEvent:
    """Record an event under the next number and return it.

    A version is reviewed once: the same review again changes nothing, the opposite one raises ValueError. Moving the
    champion to where it is already changes nothing either.
    """
    if happened.event not in REVIEWS | MOVES:
        raise ValueError(f"A model version cannot be {happened.event!r}; use one of {sorted(REVIEWS | MOVES)}.")
    known = _standing(connection, happened)
    if known is not None:
        return known
    number = int(connection.scalar(select(func.coalesce(func.max(MODEL_EVENTS.c.number), 0))) or 0) + 1
    numbered = replace(happened, number=number)
    values = {name: getattr(numbered, name) for name in ModelEvent.__dataclass_fields__}
    identity = _digest("model", str(number), happened.version, happened.event)
    connection.execute(insert(MODEL_EVENTS).values(event_id=identity, **values))
    return numbered


def _standing(connection: "Connection", happened: ModelEvent) -> ModelEvent | None:
    """Return the event that already says the same, None when this one is news."""
    if happened.event in MOVES:
        last = latest_event(connection, kinds=MOVES)
        return last if last is not None and last.version == happened.version else None
    review = latest_event(connection, kinds=REVIEWS, version=happened.version)
    if review is not None and review.event != happened.event:
        raise ValueError(
            f"The model version {happened.version} was {review.event} by {review.decided_by}; it cannot be "
            f"{happened.event} as well. Train a new version, or roll back."
        )
    return review


def latest_event(connection: "Connection", *, kinds: frozenset[str], version: str | None = None) -> ModelEvent | None:
    """Return the newest event of some kinds, of one version or of any."""
    query = select(MODEL_EVENTS).where(MODEL_EVENTS.c.event.in_(kinds)).order_by(MODEL_EVENTS.c.number.desc())
    if version is not None:
        query = query.where(MODEL_EVENTS.c.version == version)
    row = connection.execute(query).mappings().first()
    return None if row is None else ModelEvent(**{name: row[name] for name in ModelEvent.__dataclass_fields__})
