"""`holdfast incidents`: rates that rose in a group of customers, and what became of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.outbox import By, entered
from orchestration.entry import CompanyFile, Home, open_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from retention.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Rates that rose in a group of customers, and what became of them.")

IncidentId = Annotated[str, typer.Argument(help="the id of an incident, or how it begins")]
COMPANY, HOME = Path("company.yaml"), Path(".holdfast")
_MOST_NAMED = 50


@app.command("list")
def list_incidents(
    company: CompanyFile = COMPANY,
    home: Home = HOME,
    *,
    state: Annotated[str | None, typer.Option(help="open, acknowledged or closed; without it all but closed")] = None,
) -> None:
    """List incidents, the newest first."""
    from orchestration.report import tabulate

    console = open_console()
    with entered(company, home) as (_, store):
        rows = store.incidents.find(state=state)
    if not rows:
        console.print("There is no such incident.")
        return
    shown = [
        {"incident": row["incident_id"][:8], "grade": row["grade"], "what": row["cause_en"],
         "expected": f"{row['count_expected']:.0f}", "days": f"{row['first_date']} to {row['last_date']}",
         "state": row["state"]}
        for row in rows
    ]  # fmt: skip
    console.print(tabulate("Incidents", shown))


@app.command()
def show(incident_id: IncidentId, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Show one incident with its figures and its customers."""
    console = open_console()
    with entered(company, home) as (_, store):
        row = store.incidents.get(incident_id)
        customers = store.incidents.customers(row["incident_id"])
    console.print(f"{row['incident_id']}, {row['grade']}, {row['state']}", highlight=False)
    console.print(row["cause_en"], highlight=False)
    money = "-" if row["money_at_risk"] is None else f"{row['money_at_risk']:,.0f}"
    console.print(
        f"{row['first_date']} to {row['last_date']}: {row['count_customers']} customers, {row['count_expected']:.1f} "
        f"expected, {row['ratio']:.1f} times as many; p = {row['p_value']:.1g}, false discovery rate "
        f"{row['q_value']:.1g}; money at risk {money}.",
        highlight=False,
        soft_wrap=True,
    )
    named = ", ".join(customers[:_MOST_NAMED])
    rest = f" and {len(customers) - _MOST_NAMED} more" if len(customers) > _MOST_NAMED else ""
    console.print(f"Customers: {named}{rest}", highlight=False, soft_wrap=True)


@app.command()
def ack(incident_id: IncidentId, by: By, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Take an incident on."""
    from orchestration.sending import now

    _act(company, home, incident_id, lambda store, found: store.incidents.acknowledge(found, by=by, at=now()))


@app.command()
def close(  # noqa: PLR0917 - the options of a command
    incident_id: IncidentId,
    by: By,
    feedback: Annotated[str, typer.Option(help="useful, wrong or already_known")],
    note: Annotated[str, typer.Option(help="what others should know")] = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Close an incident with your feedback on it; the same group may then become one again."""
    from orchestration.sending import now

    def finish(store: "Store", found: str) -> None:
        store.incidents.close(found, by=by, at=now(), feedback=feedback, note=note)

    _act(company, home, incident_id, finish)


def _act(company: Path, home: Path, incident_id: str, act: "Callable[[Store, str], None]") -> None:
    with entered(company, home) as (_, store):
        found = store.incidents.get(incident_id)["incident_id"]
        act(store, found)
        state = store.incidents.get(found)["state"]
    open_console().print(f"{found} is {state}.", highlight=False)
