"""`holdfast privacy`: requests of people about their data, from the day they come to the receipt."""

import json
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, require_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestration.privacy.office import Office
    from privacy.traces import Trace

app = typer.Typer(no_args_is_help=True, help="Requests of people about their data; docs/privacy-requests.md.")

RequestId = Annotated[str, typer.Argument(help="the request, by the first characters of its id")]
RequestIds = Annotated[list[str], typer.Argument(help="requests of one kind")]
By = Annotated[str, typer.Option(help="who does it")]
Reason = Annotated[str, typer.Option(help="why; write no personal data")]
Note = Annotated[str, typer.Option(help="what was done; write no personal data")]
WithContacts = Annotated[bool, typer.Option("--with-contacts", help="of a company, its contacts too")]
Wait = Annotated[bool, typer.Option("--wait", help="until no other run is at work in the instance")]
All = Annotated[bool, typer.Option("--all", help="also those at their end")]
COMPANY, HOME = Path("company.yaml"), Path(".holdfast")
_SHORT = 8  # characters of an id that are shown
_PAUSE_SECONDS = 10
Done = TypeVar("Done")


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
        from orchestration.privacy.office import find_kind

        find_kind(kind)
        office.refuse_unknown(customer_id)
        came = received_on.date() if received_on else None
        received = office.receive(kind, customer_id, by=by, note=note, law=law, received_on=came)
    _print(
        f"{received.request_id} is received; by the {received.law} it is due on {received.due_on}. Verify who asks, "
        "then plan it."
    )


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
        found = office.verify(request_id, by=by, how=how)
    _print(f"{found.request_id} is verified.")


@app.command()
def plan(  # noqa: PLR0917 - the options of a command
    request_ids: RequestIds,
    by: By,
    with_contacts: WithContacts = False,  # noqa: FBT002 - an option of a command
    wait: Wait = False,  # noqa: FBT002 - an option of a command
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
        erasing = office.make_erasing(by)
        traces = _in_turn(lambda: erasing.plan(found, with_contacts=with_contacts), wait=wait)
    _print_traces(traces)


@app.command()
def run(  # noqa: PLR0917 - the options of a command
    request_ids: RequestIds,
    by: By,
    to: Annotated[Path | None, typer.Option(help="a new folder for a copy of the data")] = None,
    note: Note = "",
    wait: Wait = False,  # noqa: FBT002 - an option of a command
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Carry requests out: erase or anonymise over every store, write a copy, or take out of plans."""
    with _entered(company, home) as office:
        from privacy.requests import REMOVING

        found = [office.requests.find(each) for each in request_ids]
        if found[0].kind in REMOVING:
            erasing = office.make_erasing(by)
            for name, receipt in _in_turn(lambda: erasing.run(found), wait=wait).items():
                _print(f"{name} is done; its receipt is {receipt}.")
            return
        for each in found:
            _print(office.answer(each, by=by, to=to, note=note))


@app.command()
def refuse(request_id: RequestId, by: By, reason: Reason, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Refuse a request, for a reason that the person is given."""
    with _entered(company, home) as office:
        found = office.refuse(request_id, by=by, reason=reason)
    _print(f"{found.request_id} is refused.")


@app.command("hold")
def hold_by_law(
    request_id: RequestId, by: By, reason: Reason, company: CompanyFile = COMPANY, home: Home = HOME
) -> None:
    """Hold a request, because a law wants the data kept; `verify` takes it up again."""
    with _entered(company, home) as office:
        found = office.hold(request_id, by=by, reason=reason)
    _print(f"{found.request_id} is held by law.")


@app.command()
def extend(request_id: RequestId, by: By, reason: Reason, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Move the due date once, as far as the law lets it."""
    with _entered(company, home) as office:
        found = office.extend(request_id, by=by, reason=reason)
    _print(f"{found.request_id} is due on {found.due_on}.")


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


@app.command()
def record(
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Print the record of processing activities, made from the company file, the policy and the strategies."""
    with plain_faults():
        deployment = enter_deployment(company, home)
        from orchestration.privacy.processing import ProcessingRecord

        today = datetime.now(ZoneInfo(deployment.company.timezone)).date()
        made = ProcessingRecord(deployment=deployment, language="zh" if language == "zh" else "en", day=today)
    typer.echo(str(made))


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


@contextmanager
def _entered(company: Path, home: Path) -> "Iterator[Office]":
    from orchestration.privacy.office import Office, list_faults

    with plain_faults(*list_faults()):
        deployment = enter_deployment(company, home)
        require_instance(deployment.settings.home)
        from orchestration.resources import open_store
        from privacy.identifiers import make_keyring

        keyring = make_keyring(deployment.settings.environment.get("HOLDFAST_TOKEN_KEY", ""))
        with open_store(deployment.settings) as store:
            yield Office(deployment=deployment, store=store, keyring=keyring)


def _in_turn(act: "Callable[[], Done]", *, wait: bool) -> Done:
    """Return what an act does; while another run is at work, wait for its end where that was asked for."""
    import time

    from orchestration.home import HomeError

    while True:
        try:
            return act()
        except HomeError:
            if not wait:
                raise
            time.sleep(_PAUSE_SECONDS)


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
