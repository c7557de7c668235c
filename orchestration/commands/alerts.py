"""`holdfast alerts`: who answers until when, the answers, and what stands still."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.answers import COMPANY, HOME, Id, Note, add_answers, answering, show_clock, show_moment
from orchestration.entry import By, CompanyFile, Home, entered, open_console

if TYPE_CHECKING:
    from orchestration.deployment import Deployment
    from retention.store.alerts import Alerts
    from retention.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Alerts: who answers until when, the answers, and what stands still.")

_LIMIT = 25


def find_alerts(store: "Store") -> "Alerts":
    """Return what these commands answer."""
    return store.alerts


@app.command("list")
def list_alerts(
    company: CompanyFile = COMPANY,
    home: Home = HOME,
    *,
    state: Annotated[str, typer.Option(help="open, overdue, acknowledged, snoozed or closed")] = "open",
    owner: Annotated[str | None, typer.Option(help="only those of one owner")] = None,
    limit: Annotated[int, typer.Option(help="rows at most")] = _LIMIT,
) -> None:
    """List the alerts of a state, the most urgent first."""
    from orchestration.report import tabulate
    from orchestration.sending import now
    from retention.store.alerts import STATES

    console = open_console()
    with entered(company, home) as (deployment, store):
        if state not in STATES:
            raise ValueError(f"{state!r} is no state of an alert; it is one of {', '.join(STATES)}.")
        alerts = store.alerts.read().set_index("alert_id", drop=False)
        rows = alerts.loc[store.alerts.find(state, at=now())]
        rows = rows if owner is None else rows.loc[rows["owner"] == owner]
        shown = [_show_row(row, deployment) for row in rows.head(limit).to_dict("records")]
    if not shown:
        console.print(f"No alert is {state}.")
        return
    console.print(tabulate(f"Alerts: {len(rows)} {state}", shown))


@app.command()
def show(its_id: Id, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Show one alert: its deadlines by the log, and everything that was done with it."""
    console = open_console()
    with entered(company, home) as (deployment, store):
        alert = store.alerts.read_log(store.alerts.resolve(its_id))
        row = alert.row
        console.print(f"{alert.id}: customer {row['customer_id']}, {row['level']}, {alert.owner}", highlight=False)
        console.print(f"{row['why_en'] or '-'}", highlight=False)
        show_clock(deployment, store.alerts, alert)


add_answers(app, find_alerts)


@app.command()
def step(  # noqa: PLR0917 - the options of a command
    its_id: Id,
    name: Annotated[str, typer.Argument(help="the step that is done: identify, cause, solution, carry_out ...")],
    by: By,
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Record that a step of the response is done; the clock of the next one begins."""
    with answering(company, home, its_id, find_alerts) as given:
        given.give(given.of.finish_step, step=name, by=by, note=note)


@app.command()
def look(company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Look at all clocks and notify owners of what is due; `holdfast ui` does it by itself, and twice does no harm."""
    from orchestration.sending import now, open_channels, prepare_sending
    from retention.acting.dispatch import dispatch
    from retention.acting.look import look as look_at_clocks

    with entered(company, home) as (deployment, store):
        found = look_at_clocks(store, deployment.policy, timezone=deployment.company.timezone, at=now())
        channels = open_channels(deployment)
        sent = [
            dispatch(store, prepare_sending(deployment, store, channels, is_replay=is_replay)).sent
            for is_replay in (False, True)
        ]
    open_console().print(
        f"{len(found.notices)} messages to owners, {len(found.breaches)} deadlines missed since the last look; "
        f"{sum(sent)} messages left."
    )


@app.command()
def audit(company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Find what has not moved though it should have; exit code 1 where there is anything."""
    from orchestration.sending import now, open_channels
    from retention.acting.audit import audit as find_standing

    console = open_console()
    with entered(company, home) as (deployment, store):
        found = find_standing(store, deployment.policy, open_channels(deployment), at=now())
    for each in found:
        console.print(each, highlight=False, soft_wrap=True)
    console.print(f"{len(found)} findings." if found else "Everything moves.")
    raise typer.Exit(int(bool(found)))


def _show_row(row: dict[Any, Any], deployment: "Deployment") -> dict[str, object]:
    money = row["money_at_risk"]
    return {
        "alert": row["alert_id"][:8],
        "customer": row["customer_id"],
        "level": row["level"],
        "at risk": "-" if money is None or money != money else f"{money:,.0f}",  # noqa: PLR0124 - not a number
        "owner": row["owner"],
        "due": show_moment(row["due_at"], deployment.company.timezone),
        "why": row["why_en"] or "-",
    }
