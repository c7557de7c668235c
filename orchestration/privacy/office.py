"""One way for each step of a request, whoever takes it: a person at the command line, on the desk, or a program."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment
from orchestration.privacy.dates import compute_due_date
from privacy.identifiers import Keyring
from privacy.requests import EXPORTING, KINDS, Kind, Request, RequestError
from retention.store.store import Store

if TYPE_CHECKING:
    from orchestration.privacy.erasing import Erasing

SHORT = 8  # characters of an id that are shown


@dataclass(frozen=True, kw_only=True)
class Office:
    """What handles requests: the instance, its store, and the key of tokens."""

    deployment: Deployment
    store: Store
    keyring: Keyring

    @property
    def requests(self) -> PrivacyRequests:
        """The requests."""
        return PrivacyRequests(self.store)

    @property
    def today(self) -> date:
        """The day in the company's time zone."""
        return datetime.now(ZoneInfo(self.deployment.company.timezone)).date()

    def now(self) -> datetime:
        """Return this moment."""
        return datetime.now(UTC)

    def receive(
        self, kind: str, customer_id: str, *, by: str, note: str, law: str | None = None,
        received_on: date | None = None, request_id: str | None = None, callbacks: Mapping[str, str] | None = None,
    ) -> Request:  # fmt: skip
        """Write a request down, due by its law from the day it came. Raises RequestError."""
        came, named = received_on or self.today, law or self.deployment.policy.privacy.law
        known = find_kind(kind)
        due_on = compute_due_date(self.deployment, named, received_on=came)
        return self.requests.receive(
            known, [customer_id], law=named, received_on=came, due_on=due_on, keyring=self.keyring, by=by,
            note=note, at=self.now(), request_id=request_id, callbacks=callbacks,
        )  # fmt: skip

    def verify(self, request_id: str, *, by: str, how: str) -> Request:
        """Record that whoever asks is the customer; also takes up again what was held."""
        return self.requests.move(self.requests.find(request_id), "verified", by=by, at=self.now(), note=how)

    def refuse(self, request_id: str, *, by: str, reason: str) -> Request:
        """Refuse a request, for a reason that the person is given."""
        return self.requests.end(self.requests.find(request_id), "refused", by=by, at=self.now(), note=reason)

    def hold(self, request_id: str, *, by: str, reason: str) -> Request:
        """Hold a request, because a law wants the data kept."""
        return self.requests.move(self.requests.find(request_id), "held", by=by, at=self.now(), note=reason)

    def extend(self, request_id: str, *, by: str, reason: str) -> Request:
        """Move the due date once, as far as the law lets it."""
        found = self.requests.find(request_id)
        due_on = compute_due_date(self.deployment, found.law, received_on=found.received_on, is_extended=True)
        return self.requests.extend(found, due_on=due_on, by=by, note=reason, at=self.now())

    def refuse_unknown(self, customer_id: str) -> None:
        """Raise RequestError where no list of customers holds the customer."""
        from orchestration.privacy.subjects import find_linked_ids, is_known

        (accounts,) = find_linked_ids(self.deployment, [[customer_id]])
        if not is_known(self.deployment, accounts):
            raise RequestError(
                "No list of customers holds this id. Write it as the source has it, with the prefix that the mapping "
                "adds; a person who was never ingested has nothing here to ask for."
            )

    def make_erasing(self, by: str) -> "Erasing":
        """Return what erases and anonymises."""
        from orchestration.privacy.erasing import Erasing

        return Erasing(deployment=self.deployment, store=self.store, keyring=self.keyring, by=by, now=self.now)

    def answer(self, request: Request, *, by: str, to: Path | None, note: str) -> str:
        """Carry out a request that removes nothing; return what was done in a sentence."""
        from orchestration.privacy.answering import export, object_to_decisions, rectify

        at = self.now()
        if request.kind in EXPORTING:
            folder = to or Path(f"copy-{request.request_id[:SHORT]}")
            written = export(self.deployment, self.store, request, keyring=self.keyring, folder=folder, by=by, at=at)
            return f"{sum(written.values())} rows of {len(written)} tables are in {folder}; hand it over safely."
        if request.kind == "objection":
            count = object_to_decisions(self.deployment, self.store, request, keyring=self.keyring, by=by, at=at)
            return f"From the next night on no plan contacts this customer (ids: {count})."
        rectify(self.store, request, note=note, by=by, at=at)
        return f"{request.request_id} is done; the next ingestion brings what the source holds now."


def find_kind(kind: str) -> Kind:
    """Return a kind of request by its name. Raises RequestError."""
    named = next((each for each in KINDS if each == kind), None)
    if named is None:
        raise RequestError(f"There is no request {kind!r}; it is one of {', '.join(KINDS)}.")
    return named


def list_faults() -> tuple[type[Exception], ...]:
    """Return the errors that a step of a request explains in one paragraph."""
    from ingestion.vault import VaultError
    from privacy.identifiers import KeyMissingError
    from privacy.receipt import ReceiptError
    from privacy.traces import ErasureError
    from retention.acting.calendar import CalendarError, UnknownYearError

    return (
        CalendarError, ErasureError, KeyMissingError, ReceiptError, RequestError, UnknownYearError, VaultError,
    )  # fmt: skip
