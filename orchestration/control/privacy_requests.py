"""Requests of people about their data in the operational store: one row each, and every step as an event."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from privacy.identifiers import Identifiers, Keyring
from privacy.requests import EXTENDED, STATES, STORE_DONE, Callback, Kind, Request, RequestError, State, check_move
from retention.store.database import next_number
from retention.store.tables import PRIVACY_CALLBACKS, PRIVACY_EVENTS, PRIVACY_REQUESTS, SUPPRESSED_IDS

if TYPE_CHECKING:
    from retention.store.store import Store


class PrivacyRequests:
    """The requests in the operational store."""

    def __init__(self, store: "Store") -> None:
        """Keep them in the database of `store`."""
        self._database = store.database

    def receive(
        self, kind: Kind, customers: Iterable[str], *, law: str, received_on: date, due_on: date, keyring: Keyring,
        by: str, note: str, at: datetime, request_id: str | None = None, callbacks: Mapping[str, str] | None = None,
    ) -> Request:  # fmt: skip
        """Write a request down; the ids are sealed at once. Raises RequestError where `request_id` is taken.

        `callbacks` are addresses that are called when its status changes, with the id of the controller behind each.
        """
        request_id, ids = request_id or uuid4().hex, tuple(customers)
        with self._database.write() as connection:
            if connection.scalar(
                select(PRIVACY_REQUESTS.c.request_id).where(PRIVACY_REQUESTS.c.request_id == request_id)
            ):
                raise RequestError(f"There is a request {request_id} already; a new one has an id of its own.")
            connection.execute(
                insert(PRIVACY_REQUESTS).values(
                    request_id=request_id, kind=kind, law=law, customer_token=keyring.token(ids[0]),
                    received_on=received_on, sealed=keyring.seal(Identifiers(customers=ids), request_id=request_id),
                )
            )  # fmt: skip
            _append(connection, request_id, "received", by=by, at=at, note=note, due_on=due_on)
            for url, controller_id in (callbacks or {}).items():
                row = {"request_id": request_id, "url": url, "controller_id": controller_id}
                connection.execute(insert(PRIVACY_CALLBACKS).values(row))
        return self.find(request_id)

    def read_callbacks(self) -> list[Callback]:
        """Return every address to call, with the status that is known there."""
        columns = [PRIVACY_CALLBACKS.c[name] for name in Callback.__dataclass_fields__]
        with self._database.read() as connection:
            rows = connection.execute(select(*columns).order_by(PRIVACY_CALLBACKS.c.request_id)).mappings().all()
        return [Callback(**row) for row in rows]

    def note_called(self, callback: Callback, *, status: str, at: datetime) -> None:
        """Write down that a status was taken at an address."""
        c = PRIVACY_CALLBACKS.c
        own = (c.request_id == callback.request_id) & (c.url == callback.url)
        with self._database.write() as connection:
            connection.execute(update(PRIVACY_CALLBACKS).where(own).values(known_status=status, known_at=at))

    def read(self, beginning: str = "") -> list[Request]:
        """Return every request whose id begins so as it is now, the one that is due first in front."""
        steps = select(PRIVACY_EVENTS).where(PRIVACY_EVENTS.c.request_id.startswith(beginning, autoescape=True))
        own = PRIVACY_REQUESTS.c.request_id.startswith(beginning, autoescape=True)
        is_step = PRIVACY_EVENTS.c.event != STORE_DONE
        with self._database.read() as connection:
            rows = connection.execute(select(PRIVACY_REQUESTS).where(own)).mappings().all()
            events = connection.execute(steps.where(is_step).order_by(PRIVACY_EVENTS.c.number)).mappings().all()
        by_request: dict[str, list[RowMapping]] = {}
        for event in events:
            by_request.setdefault(event["request_id"], []).append(event)
        found = [_assemble(row, by_request[row["request_id"]]) for row in rows]
        return sorted(found, key=lambda each: (each.due_on, each.request_id))

    def find(self, request_id: str) -> Request:
        """Return a request by its id or the first characters of it. Raises RequestError unless exactly one has them."""
        matching = self.read(request_id)
        if len(matching) != 1:
            known = "no requests" if not matching else f"{len(matching)} requests"
            raise RequestError(
                f"There are {known} whose id begins with {request_id!r}; `holdfast privacy list` shows the ids."
            )
        return matching[0]

    def move(
        self, request: Request, to: State, *, by: str, at: datetime, note: str = "", evidence: object = None
    ) -> Request:
        """Bring a request into a state. Raises RequestError where that cannot follow."""
        check_move(request, to, by=by, note=note)
        with self._database.write() as connection:
            _append(connection, request.request_id, to, by=by, at=at, note=note, evidence=evidence)
        return self.find(request.request_id)

    def extend(self, request: Request, *, due_on: date, by: str, note: str, at: datetime) -> Request:
        """Move the due date of an open request, once, for a reason that the person is given."""
        if not request.is_open or any(each["event"] == EXTENDED for each in self.read_events(request.request_id)):
            raise RequestError(f"The request {request.request_id} is at its end or was extended before.")
        if not by.strip() or not note.strip():
            raise RequestError("An extension needs a name and the reason that the person was given.")
        with self._database.write() as connection:
            _append(connection, request.request_id, EXTENDED, by=by, at=at, note=note, due_on=due_on)
        return self.find(request.request_id)

    def seal(self, found: Mapping[str, Identifiers], *, keyring: Keyring) -> None:
        """Keep all identifiers of open requests, by their ids, sealed."""
        own = PRIVACY_REQUESTS.c.request_id == bindparam("own")
        rows = [
            {"own": request_id, "sealed": keyring.seal(identifiers, request_id=request_id)}
            for request_id, identifiers in found.items()
        ]
        if rows:
            with self._database.write() as connection:
                connection.execute(update(PRIVACY_REQUESTS).where(own).values(sealed=bindparam("sealed")), rows)

    def unseal(self, request: Request, *, keyring: Keyring) -> Identifiers:
        """Return the identifiers of an open request."""
        if request.sealed is None:
            raise RequestError(f"The request {request.request_id} is {request.state}; its ids are gone.")
        return keyring.open(request.sealed, request_id=request.request_id)

    def end(
        self, request: Request, to: State, *, by: str, at: datetime, note: str = "", evidence: object = None
    ) -> Request:
        """Bring a request to one of its ends and let its ids go, both or none."""
        check_move(request, to, by=by, note=note)
        own = PRIVACY_REQUESTS.c.request_id == request.request_id
        with self._database.write() as connection:
            _append(connection, request.request_id, to, by=by, at=at, note=note, evidence=evidence)
            connection.execute(update(PRIVACY_REQUESTS).where(own).values(sealed=None))
        return self.find(request.request_id)

    def note_store(self, requests: Iterable[Request], *, by: str, at: datetime, evidence: Mapping[str, Any]) -> None:
        """Write down that one store is done for these requests."""
        with self._database.write() as connection:
            for each in requests:
                _append(connection, each.request_id, STORE_DONE, by=by, at=at, note="", evidence=evidence)

    def read_events(self, request_id: str) -> list[dict[str, Any]]:
        """Return the steps of a request, the oldest first, with their evidence."""
        query = select(PRIVACY_EVENTS).where(PRIVACY_EVENTS.c.request_id == request_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(PRIVACY_EVENTS.c.number)).mappings().all()
        return [dict(row) | {"evidence": json.loads(row["evidence"] or "null")} for row in rows]

    def suppress(self, request: Request, customers: Iterable[str], *, keyring: Keyring, at: datetime) -> int:
        """Keep ids out of every later ingestion; returns how many were not kept out before."""
        tokens = {keyring.token(each) for each in customers}
        with self._database.write() as connection:
            known = set(connection.scalars(select(SUPPRESSED_IDS.c.token)))
            rows = [
                {"token": token, "key_check": keyring.check, "request_id": request.request_id, "suppressed_at": at}
                for token in sorted(tokens - known)
            ]
            if rows:
                connection.execute(insert(SUPPRESSED_IDS), rows)
        return len(rows)

    def read_suppressed(self) -> dict[str, str]:
        """Return the tokens of the ids that are kept out, each with the check of its key."""
        with self._database.read() as connection:
            rows = connection.execute(select(SUPPRESSED_IDS.c.token, SUPPRESSED_IDS.c.key_check))
            return {row.token: row.key_check for row in rows}


def _append(
    connection: Connection, request_id: str, event: str, *, by: str, at: datetime, note: str,
    due_on: date | None = None, evidence: object = None,
) -> None:  # fmt: skip
    connection.execute(
        insert(PRIVACY_EVENTS).values(
            number=next_number(connection, PRIVACY_EVENTS), request_id=request_id, event=event, done_by=by, done_at=at,
            note=note, due_on=due_on, evidence=None if evidence is None else json.dumps(evidence, default=str),
        )
    )  # fmt: skip


def _assemble(row: RowMapping, events: list[RowMapping]) -> Request:
    last = [event for event in events if event["event"] in STATES][-1]
    return Request(
        **row,
        due_on=[event["due_on"] for event in events if event["due_on"]][-1],
        state=last["event"],
        changed_at=last["done_at"],
        changed_by=last["done_by"],
        note=last["note"],
    )
