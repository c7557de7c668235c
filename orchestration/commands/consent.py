"""`holdfast consent`: a consent withdrawn or given, known to the next message at once."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import By, CompanyFile, Home, entered, open_console

app = typer.Typer(no_args_is_help=True, help="Consents that must count before the next feed brings them.")

CustomerId = Annotated[str, typer.Argument(help="the customer")]
Channel = Annotated[str, typer.Option(help="sms, e-mail, push, phone ... or all, in the words of the consents")]
Purpose = Annotated[str, typer.Option(help="marketing, service or all")]


@app.command()
def withdraw(  # noqa: PLR0917 - the options of a command
    customer_id: CustomerId,
    by: By,
    channel: Channel = "all",
    purpose: Purpose = "all",
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Stop messages to a customer from this moment on, those already planned too."""
    record(customer_id, by, channel=channel, purpose=purpose, is_granted=False, company=company, home=home)
    open_console().print(f"No {purpose} message leaves to {customer_id} by {channel} from now on.", highlight=False)


@app.command()
def grant(  # noqa: PLR0917 - the options of a command
    customer_id: CustomerId,
    by: By,
    channel: Channel = "all",
    purpose: Purpose = "marketing",
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Record that a customer agreed; it takes back an earlier withdrawal, and needs the customer's own word."""
    record(customer_id, by, channel=channel, purpose=purpose, is_granted=True, company=company, home=home)
    open_console().print(f"{customer_id} agreed to {purpose} messages by {channel}.", highlight=False)


def record(
    customer_id: str, by: str, *, channel: str, purpose: str, is_granted: bool, company: Path, home: Path
) -> None:
    """Write one change of consent down, as of now."""
    from orchestration.sending import now
    from retention.store.consents import Consent

    moment = now()
    change = Consent(
        customer_id=customer_id, purpose=purpose, channel=channel, is_granted=is_granted, changed_at=moment,
        reported_by=by,
    )  # fmt: skip
    with entered(company, home) as (_, store):
        store.consents.record([change], at=moment)
