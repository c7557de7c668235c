"""Requests of customers about their data, as the desk and the API see the office that handles them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal, Protocol
from uuid import UUID

from serving.actor import Actor, NotFoundError

Step = Literal["verify", "plan", "run", "refuse", "hold", "extend"]
Status = Literal["pending", "in_progress", "completed", "cancelled"]
VERSION: Literal["2.0"] = "2.0"  # of OpenDSR
STATUSES: Mapping[str, Status] = {
    "received": "pending", "verified": "pending", "held": "pending", "planned": "in_progress",
    "running": "in_progress", "partial": "in_progress", "done": "completed", "refused": "cancelled",
}  # fmt: skip


class OfficeError(Exception):
    """A request cannot be handled so; the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it is now, without a word on whose it is.

    `steps` may be taken next; `is_at_work` while a step goes on in a process of its own. `output` is what the last such
    step reported. `files` can be downloaded, by name.
    """

    request_id: str
    kind: str
    law: str
    state: str
    received_on: date
    due_on: date
    changed_at: datetime
    changed_by: str
    note: str
    is_open: bool
    steps: tuple[Step, ...]
    is_at_work: bool
    output: str
    files: tuple[str, ...]


class Office(Protocol):
    """What handles requests, handed in by who starts the desk."""

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of requests."""

    @property
    def laws(self) -> Sequence[str]:
        """Laws of the policy, the usual one in front."""

    def read(self, *, is_open: bool) -> Sequence[Request]:
        """Return open requests or all, the one that is due first in front."""

    def find(self, request_id: str) -> Request:
        """Return a request by its id. Raises OfficeError."""

    def read_events(self, request_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the steps of a request, the oldest first, with their evidence."""

    def receive(
        self, kind: str, customer_id: str, *, by: str, note: str, law: str | None, received_on: date | None,
        request_id: str | None = None, callbacks: Mapping[str, str] | None = None,
    ) -> Request:  # fmt: skip
        """Write a request down; `callbacks` are addresses to call, with the id of their controller.

        Raises OfficeError.
        """

    def take(self, step: Step, request_id: str, *, by: str, note: str, with_contacts: bool = False) -> Request:
        """Take the next step of a request; a heavy one is begun. Raises OfficeError."""

    def read_file(self, request_id: str, name: str) -> bytes:
        """Return a file of a request, such as its receipt or the copy for the customer. Raises OfficeError."""

    def read_public_key(self) -> bytes:
        """Return the public key (PEM) of what the instance signs."""


def describe_status(request: Request, *, controller_id: str) -> dict[str, Any]:
    """Return what became of a request, in the fields of OpenDSR."""
    request_id = UUID(request.request_id)
    return {
        "controller_id": controller_id,
        "subject_request_id": str(request_id),
        "subject_request_type": request.kind,
        "request_status": STATUSES[request.state],
        "expected_completion_time": f"{end_of(request):%Y-%m-%dT%H:%M:%SZ}",
        "results_url": f"/v1/privacy/requests/{request_id}/{request.files[0]}" if request.files else None,
        "api_version": VERSION,
    }


def end_of(request: Request) -> datetime:
    """Return the end of the day on which a request is due, in UTC."""
    return datetime.combine(request.due_on, time(23, 59, 59), tzinfo=UTC)


def find_office(actor: Actor) -> Office:
    """Return the office. Raises NotFoundError where the desk was started without one."""
    actor.require("privacy")
    if actor.desk.office is None:
        raise NotFoundError
    return actor.desk.office


def require_customer(actor: Actor, customer_id: str) -> None:
    """Raise NotFoundError unless a published customer has the id, or an account of theirs."""
    try:
        actor.find("customers", "customer_id", customer_id, columns=("customer_id",))
    except NotFoundError:
        actor.find("aliases", "alias_id", customer_id, columns=("alias_id",))
