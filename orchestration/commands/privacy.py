"""`holdfast privacy`: requests of people about their data, from the day they come to the receipt."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestration.control.privacy_requests import PrivacyRequests
    from orchestration.deployment import Deployment
    from orchestration.privacy.erasing import Erasing
    from privacy.identifiers import Keyring
    from privacy.requests import Request
    from privacy.traces import Trace
    from retention.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Requests of people about their data; docs/privacy-requests.md.")

RequestId = Annotated[str, typer.Argument(help="the request, by the first characters of its id")]
RequestIds = Annotated[list[str], typer.Argument(help="requests of one kind")]
By = Annotated[str, typer.Option(help="who does it")]
Reason = Annotated[str, typer.Option(help="why; write no personal data")]
Note = Annotated[str, typer.Option(help="what was done; write no personal data")]
WithContacts = Annotated[bool, typer.Option("--with-contacts", help="of a company, its contacts too")]
All = Annotated[bool, typer.Option("--all", help="also those at their end")]
COMPANY, HOME = Path("company.yaml"), Path(".holdfast")
_SHORT = 8  # characters of an id that are shown


@app.command()
def request(  # noqa: PLR0917 - the options of a command
    kind: Annotated[
        str, typer.Argument(help="access, portability, erasure, anonymisation, rectification or objection")
    ],
    customer_id: Annotated[str, typer.Argument(help="the customer, by any of their ids")],
    by: By,
    received_on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="by default today")] = None,
    law: Annotated[str | None, typer.Option(help="a law of `privacy.laws`, by default the policy's")] = None,
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Write down a request; its clock begins on the day it came."""
    with _entered(company, home) as office:
        from orchestration.privacy.dates import compute_due_date
        from privacy.requests import KINDS, RequestError

        named_kind = next((each for each in KINDS if each == kind), None)
        if named_kind is None:
            raise RequestError(f"There is no request {kind!r}; it is one of {', '.join(KINDS)}.")
        office.refuse_unknown(customer_id)
        came, named = received_on.date() if received_on else office.today, law or office.deployment.policy.privacy.law
        due_on = compute_due_date(office.deployment, named, received_on=came)
        received = office.requests.receive(
            named_kind, [customer_id], law=named, received_on=came, due_on=due_on, keyring=office.keyring, by=by,
            note=note, at=office.now(),
        )  # fmt: skip
    _print(f"{received.request_id} is received; by the {named} it is due on {due_on}. Verify who asks, then plan it.")


@app.command()
def verify(
    request_id: RequestId,
    by: By,
    how: Annotated[str, typer.Option(help="how it was checked who asks, such as `passport seen`")],
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Record that whoever asks is the customer; also takes up again what was held."""
    with _entered(company, home) as office:
        found = office.requests.find(request_id)
        office.requests.move(found, "verified", by=by, at=office.now(), note=how)
    _print(f"{found.request_id} is verified.")


@app.command()
def plan(
    request_ids: RequestIds,
    by: By,
    with_contacts: WithContacts = False,  # noqa: FBT002 - an option of a command
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Show what an erasure or anonymisation would change, store by store, and change nothing."""
    with _entered(company, home) as office:
        from privacy.requests import REMOVING, RequestError

        found = [office.requests.find(each) for each in request_ids]
        for each in found:
            if each.kind not in REMOVING:
                raise RequestError(
                    f"The request {each.request_id} is for {each.kind}; it needs no plan, `run` answers it."
                )
        traces = office.make_erasing(by).plan(found, with_contacts=with_contacts)
    _print_traces(traces)


@app.command()
def run(  # noqa: PLR0917 - the options of a command
    request_ids: RequestIds,
    by: By,
    to: Annotated[Path | None, typer.Option(help="a new folder for a copy of the data")] = None,
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Carry requests out: erase or anonymise over every store, write a copy, or take out of plans."""
    with _entered(company, home) as office:
        from privacy.requests import REMOVING

        found = [office.requests.find(each) for each in request_ids]
        if found[0].kind in REMOVING:
            for name, receipt in office.make_erasing(by).run(found).items():
                _print(f"{name} is done; its receipt is {receipt}.")
            return
        for each in found:
            _print(office.answer(each, by=by, to=to, note=note))


@app.command()
def refuse(request_id: RequestId, by: By, reason: Reason, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Refuse a request, for a reason that the person is given."""
    with _entered(company, home) as office:
        found = office.requests.find(request_id)
        office.requests.end(found, "refused", by=by, at=office.now(), note=reason)
    _print(f"{found.request_id} is refused.")


@app.command("hold")
def hold_by_law(
    request_id: RequestId, by: By, reason: Reason, company: CompanyFile = COMPANY, home: Home = HOME
) -> None:
    """Hold a request, because a law wants the data kept; `verify` takes it up again."""
    with _entered(company, home) as office:
        found = office.requests.find(request_id)
        office.requests.move(found, "held", by=by, at=office.now(), note=reason)
    _print(f"{found.request_id} is held by law.")


@app.command()
def extend(request_id: RequestId, by: By, reason: Reason, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Move the due date once, as far as the law lets it."""
    with _entered(company, home) as office:
        from orchestration.privacy.dates import compute_due_date

        found = office.requests.find(request_id)
        due_on = compute_due_date(office.deployment, found.law, received_on=found.received_on, is_extended=True)
        office.requests.extend(found, due_on=due_on, by=by, note=reason, at=office.now())
    _print(f"{found.request_id} is due on {due_on}.")


@app.command("list")
def list_requests(
    all_of_them: All = False,  # noqa: FBT002 - an option of a command
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Show the open requests, the one that is due first in front; no customer is named."""
    from rich.table import Table

    with _entered(company, home) as office:
        rows = [each for each in office.requests.read() if all_of_them or each.is_open]
        today = office.today
    table = Table("request", "kind", "law", "state", "received", "due", "days left", "by")
    for each in rows:
        left = str((each.due_on - today).days) if each.is_open else ""
        table.add_row(
            each.request_id[:_SHORT], each.kind, each.law, each.state, str(each.received_on), str(each.due_on), left,
            each.changed_by,
        )  # fmt: skip
    open_console().print(table if rows else "No request is open.")


@app.command()
def show(request_id: RequestId, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Show every step of a request, with its evidence."""
    from rich.table import Table

    with _entered(company, home) as office:
        found = office.requests.find(request_id)
        events = office.requests.read_events(found.request_id)
    table = Table(
        "when", "step", "by", "note", "evidence", title=f"{found.kind} {found.request_id}, due {found.due_on}"
    )
    for each in events:
        table.add_row(
            f"{each['done_at']:%Y-%m-%d %H:%M}", each["event"], each["done_by"], each["note"],
            _summarise(each["evidence"]),
        )  # fmt: skip
    open_console().print(table)


@app.command("verify-receipt")
def verify_receipt(
    receipt: Annotated[Path, typer.Argument(help="the receipt")],
    key: Annotated[Path | None, typer.Option(help="the public key, by default the instance's own")] = None,
    home: Home = HOME,
) -> None:
    """Check that a receipt was signed by the instance and not changed since."""
    from privacy.receipt import ReceiptError, public_key_of
    from privacy.receipt import verify as check

    with plain_faults(ReceiptError):
        from orchestration.privacy.erasing import SIGNING_KEY
        from orchestration.privacy.stores import OWN_RECORDS

        content = check(receipt, public_key_file=key or public_key_of(home / OWN_RECORDS / SIGNING_KEY))
    rows = sum(trace["rows"] for store in content["stores"] for trace in store["traces"])
    _print(
        f"The signature is right. The {content['kind']} of request {content['request_id']} was finished on "
        f"{content['finished_at'][:10]}. Rows changed: {rows}, in {len(content['stores'])} stores. Values searched "
        f"for: {content['search']['values']}, in {content['search']['files']} files: {content['search']['hits']} hits."
    )


@dataclass(frozen=True, kw_only=True)
class Office:
    """What the commands work with: the instance, its requests, and the key of tokens."""

    deployment: "Deployment"
    store: "Store"
    requests: "PrivacyRequests"
    keyring: "Keyring"

    def now(self) -> datetime:
        """Return this moment."""
        return datetime.now(UTC)

    @property
    def today(self) -> date:
        """The day in the company's time zone."""
        return datetime.now(ZoneInfo(self.deployment.company.timezone)).date()

    def refuse_unknown(self, customer_id: str) -> None:
        """Raise RequestError where no list of customers holds the customer."""
        from orchestration.privacy.subjects import find_linked_ids, is_known
        from privacy.requests import RequestError

        if not is_known(self.deployment, find_linked_ids(self.deployment, [customer_id])):
            raise RequestError(
                "No list of customers holds this id. Write it as the source has it, with the prefix that the mapping "
                "adds; a person who was never ingested has nothing here to ask for."
            )

    def make_erasing(self, by: str) -> "Erasing":
        """Return what erases and anonymises."""
        from orchestration.privacy.erasing import Erasing

        return Erasing(deployment=self.deployment, store=self.store, keyring=self.keyring, by=by, now=self.now)

    def answer(self, request: "Request", *, by: str, to: Path | None, note: str) -> str:
        """Carry out a request that removes nothing; return what was done in a sentence."""
        from orchestration.privacy.answering import export, object_to_decisions, rectify
        from privacy.requests import EXPORTING

        at = self.now()
        if request.kind in EXPORTING:
            folder = to or Path(f"copy-{request.request_id[:_SHORT]}")
            written = export(self.deployment, self.store, request, keyring=self.keyring, folder=folder, by=by, at=at)
            return f"{sum(written.values())} rows of {len(written)} tables are in {folder}; hand it over safely."
        if request.kind == "objection":
            count = object_to_decisions(self.deployment, self.store, request, keyring=self.keyring, by=by, at=at)
            return f"From the next night on no plan contacts this customer (ids: {count})."
        rectify(self.store, request, note=note, by=by, at=at)
        return f"{request.request_id} is done; the next ingestion brings what the source holds now."


@contextmanager
def _entered(company: Path, home: Path) -> "Iterator[Office]":
    from orchestration.home import require_instance

    faults = _list_faults()
    with plain_faults(*faults):
        deployment = enter_deployment(company, home)
        require_instance(deployment.settings.home)
        from orchestration.control.privacy_requests import PrivacyRequests
        from orchestration.resources import open_store
        from privacy.identifiers import make_keyring

        keyring = make_keyring(deployment.settings.environment.get("HOLDFAST_TOKEN_KEY", ""))
        with open_store(deployment.settings) as store:
            yield Office(deployment=deployment, store=store, requests=PrivacyRequests(store), keyring=keyring)


def _list_faults() -> tuple[type[Exception], ...]:
    from ingestion.vault import VaultError
    from privacy.identifiers import KeyMissingError
    from privacy.receipt import ReceiptError
    from privacy.requests import RequestError
    from privacy.traces import ErasureError
    from retention.acting.calendar import CalendarError, UnknownYearError

    return (
        CalendarError, ErasureError, KeyMissingError, ReceiptError, RequestError, UnknownYearError, VaultError,
    )  # fmt: skip


def _print_traces(traces: "Mapping[str, Sequence[Trace]]") -> None:
    from rich.table import Table

    table = Table("store", "place", "what happens", "rows", "of")
    for store, listed in traces.items():
        for each in listed:
            table.add_row(store, each.place, each.action, str(each.rows), str(each.rows_before))
    console = open_console()
    console.print(table)
    clean = [store for store, listed in traces.items() if not listed]
    console.print(f"Nothing in {len(clean)} other stores: {', '.join(clean)}.", highlight=False, soft_wrap=True)


def _summarise(evidence: object) -> str:
    if isinstance(evidence, dict) and "traces" in evidence:
        places, rows = len(evidence["traces"]), sum(trace["rows"] for trace in evidence["traces"])
        return f"{evidence['store']}: {rows} rows in {places} places"
    if isinstance(evidence, dict) and "stores" in evidence:
        return f"{sum(store['rows'] for store in evidence['stores'].values())} rows to change"
    return "" if evidence is None else json.dumps(evidence, ensure_ascii=False)


def _print(text: str) -> None:
    open_console().print(text, highlight=False, soft_wrap=True)
