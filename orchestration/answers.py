"""Answers on the command line: the same subcommands for alerts and for incidents."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from orchestration.entry import By, CompanyFile, Home, entered, open_console

if TYPE_CHECKING:
    from orchestration.deployment import Deployment
    from retention.acting.clock import Clock
    from retention.acting.watched import Watched
    from retention.store.answers import Answerable
    from retention.store.store import Store

Note = Annotated[str, typer.Option(help="what others should know")]
Id = Annotated[str, typer.Argument(help="its id, or how it begins", metavar="ID")]
COMPANY, HOME = Path("company.yaml"), Path(".holdfast")

Pick = Callable[["Store"], "Answerable"]


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What an answer is given with; `about` is what is answered."""

    of: "Answerable"
    id: str
    at: datetime
    clock: "Clock"
    timezone: str

    def give(self, move: Callable[..., None], **about: object) -> None:
        """Give an answer."""
        move(self.id, at=self.at, clock=self.clock, **about)


def add_answers(app: typer.Typer, pick: Pick) -> None:
    """Give a topic's command line its answers; `pick` finds what is answered in the store."""
    for add in (_add_answers_of_owners, _add_delays):
        add(app, pick)


def _add_answers_of_owners(app: typer.Typer, pick: Pick) -> None:
    @app.command()
    def ack(its_id: Id, by: By, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
        """Take it on: its ladder stops, and steps of the response begin."""
        with answering(company, home, its_id, pick) as given:
            given.give(given.of.acknowledge, by=by)

    @app.command("hand-over")
    def hand_over(  # noqa: PLR0917 - the options of a command
        its_id: Id,
        by: By,
        to: Annotated[str, typer.Option(help="the new owner")],
        note: Note = "",
        company: CompanyFile = COMPANY,
        home: Home = HOME,
    ) -> None:
        """Give it to another owner, who is notified; its clock runs on, by the new owner's working time."""
        with answering(company, home, its_id, pick) as given:
            given.give(given.of.hand_over, to=to, by=by, note=note)

    @app.command()
    def close(  # noqa: PLR0917 - the options of a command
        its_id: Id,
        by: By,
        feedback: Annotated[str, typer.Option(help="useful, wrong or already_known")],
        note: Note = "",
        company: CompanyFile = COMPANY,
        home: Home = HOME,
    ) -> None:
        """Close it with your feedback on it."""
        with answering(company, home, its_id, pick) as given:
            given.give(given.of.close, feedback=feedback, by=by, note=note)


def _add_delays(app: typer.Typer, pick: Pick) -> None:
    @app.command()
    def snooze(  # noqa: PLR0917 - the options of a command
        its_id: Id,
        by: By,
        until: Annotated[datetime, typer.Option(help="on the company's clock")],
        note: Note = "",
        company: CompanyFile = COMPANY,
        home: Home = HOME,
    ) -> None:
        """Put it off; its clock stands until then."""
        with answering(company, home, its_id, pick) as given:
            given.give(given.of.snooze, until=until.replace(tzinfo=ZoneInfo(given.timezone)), by=by, note=note)

    @app.command()
    def pause(its_id: Id, by: By, note: Note = "", company: CompanyFile = COMPANY, home: Home = HOME) -> None:
        """Stop its clock, such as while the customer has the word."""
        with answering(company, home, its_id, pick) as given:
            given.give(given.of.pause, by=by, note=note)

    @app.command()
    def resume(its_id: Id, by: By, company: CompanyFile = COMPANY, home: Home = HOME) -> None:
        """Let its clock run on."""
        with answering(company, home, its_id, pick) as given:
            given.give(given.of.resume, by=by)


@contextmanager
def answering(company: Path, home: Path, beginning: str, pick: Pick) -> Iterator[Answering]:
    """Find what is answered by how its id begins, and print how it stands after the answer."""
    from orchestration.sending import company_clock, now

    with entered(company, home) as (deployment, store):
        of, timezone = pick(store), deployment.company.timezone
        found = of.resolve(beginning)
        yield Answering(of=of, id=found, at=now(), clock=company_clock(deployment), timezone=timezone)
        row = of.states([found])[found]
    due = show_moment(row["due_at"], timezone)
    open_console().print(f"{found} is {row['state']}, of {row['owner']}, due {due}.", highlight=False, soft_wrap=True)


def show_clock(deployment: "Deployment", of: "Answerable", watched: "Watched") -> None:
    """Print the deadlines by the log, and everything that was done."""
    from orchestration.report import tabulate
    from orchestration.sending import company_clock, now

    console, at, timezone = open_console(), now(), deployment.company.timezone
    deadlines = [
        {"deadline": due.deadline.name, "whose": due.owner, "due": show_moment(due.due_at, timezone),
         "ended": show_moment(due.ended_at, timezone), "missed": "yes" if due.is_breached(at) else ""}
        for due in watched.measure(company_clock(deployment), deployment.policy)
    ]  # fmt: skip
    console.print(tabulate("Deadlines", deadlines))
    done = [
        {"at": show_moment(each["done_at"], timezone), "event": each["event"], "by": each["done_by"],
         "about": " ".join(str(each[name]) for name in ("deadline", "owner", "feedback", "note") if each[name])}
        for each in of.read_events([watched.id])[::-1]
    ]  # fmt: skip
    console.print(tabulate("Log", done))


def show_moment(value: Any, timezone: str) -> str:  # noqa: ANN401 - a moment, or a missing one of a data frame
    """Return a moment on the company's clock."""
    if value is None or value != value:  # noqa: PLR0124 - not a time
        return "-"
    return value.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")  # type: ignore[no-any-return]
