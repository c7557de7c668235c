"""Writes that a program may send again: the second time it gets the answer of the first, and nothing is done twice."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import Connection, delete, insert, select, update

from retention.store.database import Database
from retention.store.tables import API_REQUESTS
from serving.api.caller import Caller

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

# a program that got no answer in this time is gone: what it asked may be tried again
_LEASE = timedelta(minutes=1)
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key", min_length=8, max_length=200, pattern=r"^[\x21-\x7e]+$",
        description="A text of the program's own, new for every write and the same for its retries.",
    ),
]  # fmt: skip


class ConflictError(Exception):
    """The state of things, or an earlier request, stands against this one; the message names it."""


def write_once(
    caller: Caller, idempotency_key: str, body: BaseModel | None, act: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do what a request asks once, and return its answer, that of the first time to a retry.

    Raises ConflictError when the key belongs to another request, or to one that is under way.
    """
    requests = _Requests(caller.desk.store.database, keep=timedelta(hours=caller.desk.policy.desk.api.retry_hours))
    place = (caller.key.key_id, idempotency_key)
    text = "" if body is None else body.model_dump_json()
    fingerprint = sha256(f"{caller.request.method} {caller.request.url.path} {text}".encode()).hexdigest()
    former = requests.begin(place, fingerprint, at=caller.now)
    if former is not None:
        return former
    try:
        answer = act()
    except BaseException:
        requests.forget(place)
        raise
    requests.finish(place, answer)
    return answer


class _Requests:
    """One row per writing request, for as long as a retry may come."""

    def __init__(self, database: Database, *, keep: timedelta) -> None:
        self._database = database
        self._keep = keep

    def begin(self, place: tuple[str, str], fingerprint: str, *, at: datetime) -> dict[str, Any] | None:
        """Claim a request, or return the answer that it got before. Raises ConflictError."""
        with self._database.write() as connection:
            connection.execute(delete(API_REQUESTS).where(API_REQUESTS.c.begun_at <= at - self._keep))
            row = _find(connection, place)
            if row is not None and row["fingerprint"] != fingerprint:
                raise ConflictError("This Idempotency-Key belongs to another request; make a new one.")
            if row is not None and row["answer"] is not None:
                return dict(json.loads(row["answer"]))
            if row is not None and at - row["begun_at"] < _LEASE:
                raise ConflictError("This request is under way; ask again in a minute.")
            connection.execute(delete(API_REQUESTS).where(_is_at(place)))
            values = dict(zip(("key_id", "idempotency_key"), place, strict=True))
            connection.execute(insert(API_REQUESTS).values(**values, fingerprint=fingerprint, begun_at=at))
        return None

    def finish(self, place: tuple[str, str], answer: dict[str, Any]) -> None:
        """Keep the answer."""
        with self._database.write() as connection:
            connection.execute(update(API_REQUESTS).where(_is_at(place)).values(answer=json.dumps(answer)))

    def forget(self, place: tuple[str, str]) -> None:
        """Let a request that failed be made again."""
        with self._database.write() as connection:
            connection.execute(delete(API_REQUESTS).where(_is_at(place)))


def _is_at(place: tuple[str, str]) -> Any:  # noqa: ANN401 - a condition of SQLAlchemy
    return (API_REQUESTS.c.key_id == place[0]) & (API_REQUESTS.c.idempotency_key == place[1])


def _find(connection: Connection, place: tuple[str, str]) -> "RowMapping | None":
    return connection.execute(select(API_REQUESTS).where(_is_at(place))).mappings().one_or_none()
