"""`holdfast identity`: why ids are one customer, and how a person takes them apart."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.entry import (
    CompanyFile,
    Home,
    enter_deployment,
    open_console,
    plain_faults,
    read_home,
    refuse,
    require_instance,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ingestion.identity.explaining import Explanation
    from orchestration.control.identity_decisions import IdentityDecision

app = typer.Typer(no_args_is_help=True, help="Why customer ids are one customer, and how to take them apart.")

CustomerId = Annotated[str, typer.Argument(help="a customer id, as its source names it")]
Other = Annotated[str | None, typer.Option("--from", help="the other id; without it, all others")]
By = Annotated[str, typer.Option(help="who decides")]
Reason = Annotated[str, typer.Option(help="why; write no personal data")]


@app.command()
def explain(customer_id: CustomerId, home: Home = Path(".holdfast")) -> None:
    """Show whom an id stands for, and every evidence for and against it."""
    from ingestion.identity.explaining import explain as find_evidence
    from orchestration.resources import open_warehouse

    console = open_console()
    with plain_faults():
        require_instance(home)
        warehouse = open_warehouse(read_home(home))
    with plain_faults(), warehouse.connect() as connection:
        try:
            explanation = find_evidence(connection, customer_id)
        except KeyError:
            refuse("No identity was ever decided here: the company file connects nothing that could link two ids.")
    others = len(explanation.members) - 1
    stands = f"{customer_id} stands for {explanation.canonical_id}" if others else f"{customer_id} stands for itself"
    summary = f"{stands}; ids of this customer: {', '.join(explanation.members)}."
    console.print(summary, highlight=False, soft_wrap=True)
    if explanation.evidence:
        console.print(tabulate(explanation))
    else:
        console.print("Nothing links it to another id, and nothing was compared.")


@app.command()
def unmerge(  # noqa: PLR0917 - the options of a command
    customer_id: CustomerId,
    by: By,
    reason: Reason,
    other: Other = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Take an id apart from another, or from all others, for good; holds from the next run on."""
    held = decide(customer_id, other, is_apart=True, by=by, reason=reason, company=company, home=home)
    open_console().print(
        f"{held.customer_id} is kept apart from {held.other_id or 'every other id'} by {held.decided_by}. "
        "The next run moves its rows back, and what is built from them.",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def relink(  # noqa: PLR0917 - the options of a command
    customer_id: CustomerId,
    by: By,
    reason: Reason,
    other: Other = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Take an `unmerge` back: the evidence decides again from the next run on."""
    decide(customer_id, other, is_apart=False, by=by, reason=reason, company=company, home=home)
    open_console().print(f"The evidence decides about {customer_id} again from the next run on.", highlight=False)


def decide(
    customer_id: str, other: str | None, *, is_apart: bool, by: str, reason: str, company: Path, home: Path
) -> "IdentityDecision":
    """Record a decision in the operational store and return the one that holds."""
    with plain_faults(ValueError):
        settings = enter_deployment(company, home).settings
        from orchestration.control.identity_decisions import IdentityDecisions
        from orchestration.resources import open_store

        with open_store(settings) as store:
            return IdentityDecisions(store).decide(
                customer_id, other_id=other, is_apart=is_apart, by=by, reason=reason, at=datetime.now(UTC)
            )


def tabulate(explanation: "Explanation") -> "Table":
    """Return the evidence as a table, what holds first."""
    from rich.table import Table

    table = Table(
        "ids", "evidence", "probability", "state", "decided", title=f"Evidence about {explanation.customer_id}"
    )
    for one in explanation.evidence:
        state = one.state if one.reason is None else f"{one.state}: {one.reason}"
        table.add_row(
            f"{one.left_id} = {one.right_id}",
            f"{one.rule}: {one.evidence}",
            f"{one.probability:.3f}",
            state,
            f"{one.decided_at:%Y-%m-%d} {one.batch[:8]}",
        )
    return table
