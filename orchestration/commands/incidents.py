"""`holdfast incidents`: rates that rose in a group of customers, and what became of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.answers import COMPANY, HOME, Id, add_answers, show_clock, show_moment
from orchestration.entry import CompanyFile, Home, entered, open_console

if TYPE_CHECKING:
    from retention.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Rates that rose in a group of customers, and what became of them.")

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
    with entered(company, home) as (deployment, store):
        rows, timezone = store.incidents.find(state=state), deployment.company.timezone
    if not rows:
        console.print("There is no such incident.")
        return
    shown = [
        {"incident": row["incident_id"][:8], "grade": row["grade"], "what": row["cause_en"],
         "expected": f"{row['count_expected']:.0f}", "days": f"{row['first_date']} to {row['last_date']}",
         "owner": row["owner"], "due": show_moment(row["due_at"], timezone), "state": row["state"]}
        for row in rows
    ]  # fmt: skip
    console.print(tabulate("Incidents", shown))


@app.command()
def show(its_id: Id, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Show one incident: its figures and customers, its deadlines by the log, and everything that was done with it."""
    with entered(company, home) as (deployment, store):
        incident = store.incidents.read_log(store.incidents.resolve(its_id))
        _show_figures(store, incident.id)
        show_clock(deployment, store.incidents, incident)


def _show_figures(store: "Store", incident_id: str) -> None:
    console = open_console()
    row, customers = store.incidents.get(incident_id), store.incidents.customers(incident_id)
    console.print(f"{incident_id}, {row['grade']}, {row['state']}, {row['owner']}", highlight=False)
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


add_answers(app, lambda store: store.incidents)
