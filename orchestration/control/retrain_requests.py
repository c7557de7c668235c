"""Requests for a new model: granted at most once per cool-down to a sensor, always to a person. Every one is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, insert, select

from retention.store.database import digest
from retention.store.tables import RETRAIN_REQUESTS

if TYPE_CHECKING:
    import pandas as pd

    from retention.store.store import Store

AUTOMATIC = frozenset({"drift", "performance"})  # triggers that the cool-down holds back


@dataclass(frozen=True, kw_only=True)
class RetrainRequest:
    """A request for a new model, with its evidence and what was decided about it."""

    trigger: str
    as_of: date
    requested_at: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    is_accepted: bool = False
    decision: str = ""

    @property
    def request_id(self) -> str:
        """The same for the same trigger and day."""
        return digest("retrain", self.trigger, self.as_of.isoformat())


class RetrainRequests:
    """The requests in the operational store."""

    def __init__(self, store: "Store") -> None:
        """Keep them in the database of `store`."""
        self._database = store.database

    def submit(
        self, trigger: str, as_of: date, *, evidence: Mapping[str, Any], cooldown_days: int, at: datetime
    ) -> RetrainRequest:
        """Ask for a new model, with evidence, and return the request with its decision.

        Args:
            trigger: drift, performance, monthly or manual; only drift and performance are held back.
            as_of: the day whose check failed.
            evidence: plain values that show why.
            cooldown_days: days between two granted requests.
            at: the moment of the request.

        Returns:
            The request with its decision; the same trigger for the same day gets the same answer again.
        """
        request = RetrainRequest(trigger=trigger, as_of=as_of, evidence=dict(evidence), requested_at=at)
        with self._database.write() as connection:
            return _find(connection, request.request_id) or _decide(connection, request, cooldown_days=cooldown_days)

    def read(self) -> "pd.DataFrame":
        """Return every request, granted or put off, oldest first; evidence is JSON."""
        order = (RETRAIN_REQUESTS.c.as_of, RETRAIN_REQUESTS.c.requested_at)
        return self._database.read_frame(select(RETRAIN_REQUESTS).order_by(*order))


def _find(connection: Connection, request_id: str) -> RetrainRequest | None:
    query = select(RETRAIN_REQUESTS).where(RETRAIN_REQUESTS.c.request_id == request_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _from_row(row)


def _decide(connection: Connection, request: RetrainRequest, *, cooldown_days: int) -> RetrainRequest:
    obstacle = _obstacle(connection, request, cooldown_days=cooldown_days)
    decided = replace(request, is_accepted=obstacle is None, decision=obstacle or "granted")
    evidence = json.dumps(dict(decided.evidence), ensure_ascii=False, sort_keys=True, default=str)
    values = vars(decided) | {"evidence": evidence, "request_id": decided.request_id}
    connection.execute(insert(RETRAIN_REQUESTS).values(values))
    return decided


def _obstacle(connection: Connection, request: RetrainRequest, *, cooldown_days: int) -> str | None:
    if request.trigger not in AUTOMATIC:
        return None
    table, near = RETRAIN_REQUESTS.c, timedelta(days=cooldown_days)
    is_near = (table.as_of > request.as_of - near) & (table.as_of < request.as_of + near)
    query = select(RETRAIN_REQUESTS).where(table.is_accepted & is_near & table.trigger.in_(AUTOMATIC))
    last = connection.execute(query.order_by(table.as_of.desc())).mappings().first()
    if last is None:
        return None
    return f"put off: the request of {last['as_of']} ({last['trigger']}) is less than {cooldown_days} days old"


def _from_row(row: RowMapping) -> RetrainRequest:
    values = {name: row[name] for name in RetrainRequest.__dataclass_fields__}
    return RetrainRequest(**(values | {"evidence": json.loads(row["evidence"])}))
