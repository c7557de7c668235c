"""`holdfast alerts`: who answers until when, the answers, and what stands still."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from orchestration.commands.outbox import By, entered
from orchestration.entry import CompanyFile, Home, open_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestration.deployment import Deployment
    from retention.acting.clock import Clock
    from retention.store.alerts import Alerts

app = typer.Typer(no_args_is_help=True, help="Alerts: who answers until when, the answers, and what stands still.")

AlertId = Annotated[str, typer.Argument(help="the id of an alert, or how it begins")]
Note = Annotated[str, typer.Option(help="what others should know")]
COMPANY, HOME = Path("company.yaml"), Path(".holdfast")
_LIMIT = 25


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
def show(alert_id: AlertId, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Show one alert: its deadlines by the log, and everything that was done with it."""
    from orchestration.report import tabulate
    from orchestration.sending import company_clock, now
    from retention.acting.notices import measure

    console, at = open_console(), now()
    with entered(company, home) as (deployment, store):
        alert = store.alerts.read_log(store.alerts.resolve(alert_id))
        events = store.alerts.read_events([alert.alert_id])[::-1]
        timezone = deployment.company.timezone
        dues = measure(alert, clock=company_clock(deployment), policy=deployment.policy)
    row = alert.row
    console.print(f"{alert.alert_id}: customer {row['customer_id']}, {row['level']}, {row['owner']}", highlight=False)
    console.print(f"{row['why_en'] or '-'}", highlight=False)
    deadlines = [
        {"deadline": due.deadline.name, "whose": due.owner, "due": _moment(due.due_at, timezone),
         "ended": _moment(due.ended_at, timezone), "missed": "yes" if due.is_breached(at) else ""}
        for due in dues
    ]  # fmt: skip
    console.print(tabulate("Deadlines", deadlines))
    done = [
        {"at": _moment(each["done_at"], timezone), "event": each["event"], "by": each["done_by"],
         "about": " ".join(str(each[name]) for name in ("deadline", "owner", "feedback", "note") if each[name])}
        for each in events
    ]  # fmt: skip
    console.print(tabulate("Log", done))


@app.command()
def ack(alert_id: AlertId, by: By, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Take an alert on: its ladder stops, the steps of the response begin."""
    with answering(company, home, alert_id) as given:
        given.alerts.acknowledge(given.alert_id, by=by, at=given.at, clock=given.clock)


@app.command()
def snooze(  # noqa: PLR0917 - the options of a command
    alert_id: AlertId,
    by: By,
    until: Annotated[datetime, typer.Option(help="on the company's clock")],
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Put an alert off; its clock stands until then."""
    with answering(company, home, alert_id) as given:
        moment = until.replace(tzinfo=ZoneInfo(given.timezone))
        given.alerts.snooze(given.alert_id, by=by, until=moment, note=note, at=given.at, clock=given.clock)


@app.command("hand-over")
def hand_over(  # noqa: PLR0917 - the options of a command
    alert_id: AlertId,
    by: By,
    to: Annotated[str, typer.Option(help="the new owner")],
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Give an alert to another owner, who is notified; its clock runs on, by the new owner's working time."""
    with answering(company, home, alert_id) as given:
        given.alerts.hand_over(given.alert_id, to=to, by=by, note=note, at=given.at, clock=given.clock)


@app.command()
def pause(alert_id: AlertId, by: By, note: Note = "", company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Stop an alert's clock, such as while the customer has the word."""
    with answering(company, home, alert_id) as given:
        given.alerts.pause(given.alert_id, by=by, note=note, at=given.at, clock=given.clock)


@app.command()
def resume(alert_id: AlertId, by: By, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
    """Let an alert's clock run on."""
    with answering(company, home, alert_id) as given:
        given.alerts.resume(given.alert_id, by=by, at=given.at, clock=given.clock)


@app.command()
def step(  # noqa: PLR0917 - the options of a command
    alert_id: AlertId,
    name: Annotated[str, typer.Argument(help="the step that is done: identify, cause, solution, carry_out ...")],
    by: By,
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Record that a step of the response is done; the clock of the next one begins."""
    with answering(company, home, alert_id) as given:
        given.alerts.finish_step(given.alert_id, step=name, by=by, note=note, at=given.at, clock=given.clock)


@app.command()
def close(  # noqa: PLR0917 - the options of a command
    alert_id: AlertId,
    by: By,
    feedback: Annotated[str, typer.Option(help="useful, wrong or already_known")],
    note: Note = "",
    company: CompanyFile = COMPANY,
    home: Home = HOME,
) -> None:
    """Close an alert with your feedback on it."""
    with answering(company, home, alert_id) as given:
        given.alerts.close(given.alert_id, by=by, feedback=feedback, note=note, at=given.at, clock=given.clock)


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


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What an answer to an alert is given with."""

    alerts: "Alerts"
    alert_id: str
    at: datetime
    clock: "Clock"
    timezone: str


@contextmanager
def answering(company: Path, home: Path, alert_id: str) -> "Iterator[Answering]":
    """Find an alert for an answer, and print how it stands after it."""
    from orchestration.sending import company_clock, now

    with entered(company, home) as (deployment, store):
        found, timezone = store.alerts.resolve(alert_id), deployment.company.timezone
        clock = company_clock(deployment)
        yield Answering(alerts=store.alerts, alert_id=found, at=now(), clock=clock, timezone=timezone)
        row = store.alerts.states([found])[found]
    due = _moment(row["due_at"], timezone)
    open_console().print(f"{found} is {row['state']}, of {row['owner']}, due {due}.", highlight=False, soft_wrap=True)


def _show_row(row: dict[Any, Any], deployment: "Deployment") -> dict[str, object]:
    money = row["money_at_risk"]
    return {
        "alert": row["alert_id"][:8],
        "customer": row["customer_id"],
        "level": row["level"],
        "at risk": "-" if money is None or money != money else f"{money:,.0f}",  # noqa: PLR0124 - not a number
        "owner": row["owner"],
        "due": _moment(row["due_at"], deployment.company.timezone),
        "why": row["why_en"] or "-",
    }


def _moment(value: Any, timezone: str) -> str:  # noqa: ANN401 - a moment, or a missing one of a data frame
    if value is None or value != value:  # noqa: PLR0124 - not a time
        return "-"
    return value.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")  # type: ignore[no-any-return]
