"""What handles requests for the desk and the API: light steps at once, heavy ones in a process of their own."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from company.sealed_file import ENDING, read_file
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.settings import Settings, read_settings
from privacy.requests import EXPORTING, KINDS, REMOVING, Request
from retention.store.store import Store
from serving import privacy as served
from serving.privacy import OfficeError, Step

if TYPE_CHECKING:
    from orchestration.privacy.office import Office

COPY, RECEIPT, KEY = "copy.zip", "receipt.json", "signing.pub"
_AFTER: Mapping[str, tuple[Step, ...]] = {
    "received": ("verify", "refuse", "extend"),
    "verified": ("plan", "run", "refuse", "hold", "extend"),
    "planned": ("run", "plan", "refuse", "hold", "extend"),
    "running": ("run",),
    "partial": ("run",),
    "held": ("verify", "refuse"),
}


@dataclass(frozen=True, kw_only=True)
class DeskOffice:
    """Requests of the instance that `settings` name; what is heavy to load is loaded with the first request."""

    settings: Settings
    store: Store
    _at_work: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of requests."""
        return KINDS

    @property
    def laws(self) -> Sequence[str]:
        """Laws of the policy, the usual one in front."""
        policy = self._office.deployment.policy.privacy
        return [policy.law, *(law for law in policy.laws if law != policy.law)]

    def read(self, *, is_open: bool) -> list[served.Request]:
        """Return open requests or all, the one that is due first in front."""
        return [self._show(each) for each in self._office.requests.read() if each.is_open or not is_open]

    def find(self, request_id: str) -> served.Request:
        """Return a request by its id. Raises OfficeError."""
        with _plain():
            return self._show(self._office.requests.find(request_id))

    def read_events(self, request_id: str) -> list[dict[str, Any]]:
        """Return the steps of a request, the oldest first, with their evidence."""
        return self._office.requests.read_events(request_id)

    def receive(
        self, kind: str, customer_id: str, *, by: str, note: str, law: str | None, received_on: date | None,
        request_id: str | None = None, callbacks: Mapping[str, str] | None = None,
    ) -> served.Request:  # fmt: skip
        """Write a request down. Raises OfficeError."""
        with _plain():
            return self._show(
                self._office.receive(
                    kind,
                    customer_id,
                    by=by,
                    note=note,
                    law=law,
                    received_on=received_on,
                    request_id=request_id,
                    callbacks=callbacks,
                )
            )

    def take(self, step: Step, request_id: str, *, by: str, note: str, with_contacts: bool = False) -> served.Request:
        """Take the next step of a request; a heavy one is begun. Raises OfficeError."""
        office = self._office
        with _plain():
            found = office.requests.find(request_id)
            match step:
                case "verify":
                    office.verify(found.request_id, by=by, how=note)
                case "refuse":
                    office.refuse(found.request_id, by=by, reason=note)
                case "hold":
                    office.hold(found.request_id, by=by, reason=note)
                case "extend":
                    office.extend(found.request_id, by=by, reason=note)
                case _:
                    self._begin(step, found, by=by, note=note, with_contacts=with_contacts)
        return self.find(found.request_id)

    def read_file(self, request_id: str, name: str) -> bytes:
        """Return a file of a request, such as its receipt or the copy for the customer. Raises OfficeError."""
        request = self.find(request_id)
        if name not in request.files:
            raise OfficeError(f"The request {request.request_id} has no file {name!r} yet.")
        if name == COPY:
            return _pack(self._copy_of(request.request_id), key=self.settings.encryption_key)
        return self._receipt_of(request.request_id).read_bytes() if name == RECEIPT else self._key.read_bytes()

    def read_public_key(self) -> bytes:
        """Return the public key (PEM) of what the instance signs."""
        from privacy.receipt import require_key

        return require_key(self._key.with_suffix(".key")).read_bytes()

    @cached_property
    def _office(self) -> "Office":
        from orchestration.deployment import load_deployment
        from orchestration.privacy.office import Office
        from privacy.identifiers import make_keyring

        keyring = make_keyring(self.settings.environment.get("HOLDFAST_TOKEN_KEY", ""))
        return Office(deployment=load_deployment(self.settings), store=self.store, keyring=keyring)

    def _begin(self, step: Step, request: Request, *, by: str, note: str, with_contacts: bool) -> None:
        if self._is_at_work(request.request_id):
            raise OfficeError(f"A step of the request {request.request_id} goes on; wait until it has ended.")
        if step not in _list_steps(request):
            raise OfficeError(f"The request {request.request_id} is {request.state}; `{step}` cannot follow.")
        command = [sys.executable, "-m", "orchestration.cli", "privacy", step, request.request_id, "--by", by, "--wait"]
        command += ["--company", str(self.settings.company_file), "--home", str(self.settings.home)]
        command += ["--with-contacts"] if step == "plan" and with_contacts else []
        if step == "run":
            copy = self._copy_of(request.request_id)
            command += ["--to", str(copy)] if request.kind in EXPORTING else []
            command += ["--note", note] if note else []
        log = self._log_of(request.request_id)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._at_work[request.request_id] = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env={**self.settings.environment, "COLUMNS": "200"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a desk that is stopped leaves an erasure its end
            )

    def _is_at_work(self, request_id: str) -> bool:
        process = self._at_work.get(request_id)
        return process is not None and process.poll() is None

    def _show(self, request: Request) -> served.Request:
        is_at_work = self._is_at_work(request.request_id)
        log = self._log_of(request.request_id)
        return served.Request(
            request_id=request.request_id,
            kind=request.kind,
            law=request.law,
            state=request.state,
            received_on=request.received_on,
            due_on=request.due_on,
            changed_at=request.changed_at,
            changed_by=request.changed_by,
            note=request.note,
            is_open=request.is_open,
            steps=() if is_at_work else _list_steps(request),
            is_at_work=is_at_work,
            output="" if is_at_work or not log.exists() else log.read_text(encoding="utf-8", errors="replace"),
            files=() if request.is_open else tuple(self._list_files(request.request_id)),
        )

    def _list_files(self, request_id: str) -> Iterator[str]:
        if self._receipt_of(request_id).exists():
            yield from (RECEIPT, KEY)
        if self._copy_of(request_id).is_dir():
            yield COPY

    def _receipt_of(self, request_id: str) -> Path:
        return self.settings.home / OWN_RECORDS / f"receipt-{request_id}.json"

    def _copy_of(self, request_id: str) -> Path:
        return self.settings.home / OWN_RECORDS / f"copy-{request_id}"

    def _log_of(self, request_id: str) -> Path:
        return self.settings.home / "logs" / f"privacy-{request_id}.log"

    @property
    def _key(self) -> Path:
        return self.settings.home / OWN_RECORDS / KEY


def open_office(environment: Mapping[str, str], store: Store, company_file: Path) -> DeskOffice | None:
    """Return the office of an instance; None where no token key is set, without which no request can be handled."""
    if not environment.get("HOLDFAST_TOKEN_KEY"):
        return None
    settings = read_settings({**environment, "HOLDFAST_COMPANY": str(company_file)})
    return DeskOffice(settings=settings, store=store)


def _list_steps(request: Request) -> tuple[Step, ...]:
    """Return what may follow; what removes nothing needs no plan, and what removes is run behind one."""
    skipped: tuple[str, ...] = ("run",) if request.kind in REMOVING and request.state == "verified" else ()
    skipped += () if request.kind in REMOVING else ("plan",)
    return tuple(step for step in _AFTER.get(request.state, ()) if step not in skipped)


def _pack(folder: Path, *, key: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(path.name.removesuffix(ENDING), read_file(path, key=key))
    return packed.getvalue()


@contextmanager
def _plain() -> Iterator[None]:
    from orchestration.privacy.office import list_faults

    try:
        yield
    except list_faults() as fault:
        raise OfficeError(str(fault)) from None
