"""`holdfast outbox`: what became of every message, and what a person decides about those that are stuck."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import By, CompanyFile, Home, entered, open_console

app = typer.Typer(no_args_is_help=True, help="What became of every message, and what to do about those that are stuck.")

Keys = Annotated[list[str] | None, typer.Argument(help="keys of messages; without any, all failed ones")]


@app.command()
def status(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Show messages by channel and state, and list those that wait for a person."""
    from orchestration.report import tabulate
    from retention.store.ledger import FAILED, UNKNOWN

    console = open_console()
    with entered(company, home) as (_, store):
        names = ("channel", "state", "replayed")
        counts = [
            {**dict(zip(names, key, strict=True)), "messages": count}
            for key, count in store.outbox.count_states().items()
        ]
        stuck = [row for state in (UNKNOWN, FAILED) for row in store.outbox.read_state(state)]
    if not counts:
        console.print("No message was planned yet.")
        return
    console.print(tabulate("Messages", counts))
    if stuck:
        columns = {"idempotency_key": "key", "channel": "channel", "state": "state", "trouble": "trouble"}
        console.print(tabulate("Waiting", [{name: row[key] or "" for key, name in columns.items()} for row in stuck]))
        console.print("`holdfast outbox settle` decides an unknown one, `redrive` plans failed ones again.")


@app.command()
def send(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Send what is due now, and ask what became of messages without an answer; `holdfast ui` does it by itself."""
    from dataclasses import asdict

    from orchestration.sending import open_channels, prepare_sending
    from retention.acting.dispatch import dispatch

    with entered(company, home) as (deployment, store):
        report = dispatch(store, prepare_sending(deployment, store, open_channels(deployment)))
    figures = ", ".join(f"{name} {value}" for name, value in asdict(report).items() if value)
    open_console().print(figures or "Nothing is due.")


@app.command()
def settle(
    key: Annotated[str, typer.Argument(help="the key of an unknown message")],
    by: By,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
    *,
    delivered: Annotated[bool, typer.Option("--delivered/--not-delivered", help="whether it arrived")],
) -> None:
    """Decide by name whether a message arrived whose receiver cannot be asked."""
    from orchestration.sending import now

    with entered(company, home) as (_, store):
        store.outbox.decide(key, delivered=delivered, by=by, at=now())
    open_console().print(f"{key} is {'sent' if delivered else 'failed'}, as {by} decided.", highlight=False)


@app.command()
def redrive(
    by: By, keys: Keys = None, company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")
) -> None:
    """Plan failed messages again, once the reason of their failure is gone; their checks are made anew."""
    from orchestration.sending import now

    with entered(company, home) as (_, store):
        count = store.outbox.redrive(keys or None, by=by, at=now())
    open_console().print(f"{count} messages are planned again; `holdfast outbox send` sends them.")


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="the file, one JSON object a line")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Write what the built-in gateway received, without addresses: a simulated company can answer to it."""
    import json

    from retention.acting.channels.gateway import INBOX
    from retention.acting.inbox import Inbox

    with entered(company, home) as (deployment, _):
        arrivals = Inbox(deployment.settings.outbox_folder / INBOX, key=deployment.settings.encryption_key).read(
            limit=-1
        )
    lines = [
        json.dumps(
            {"customer_id": each.body["customer_id"], "channel": each.channel, "offers": each.body["offers"],
             "arrived_at": each.arrived_at.isoformat()}
        )
        for each in reversed(arrivals)
        if {"customer_id", "offers"} <= set(each.body)
    ]  # fmt: skip
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    open_console().print(f"{len(lines)} messages written to {path}.", highlight=False)


@app.command()
def prove(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Prove that plans, ledger, outbox and receivers agree, message by message; exit code 1 where they do not."""
    from orchestration.sending import open_channels, open_gateway
    from retention.acting.proof import prove as find_disagreements

    console = open_console()
    with entered(company, home) as (deployment, store):
        proof = find_disagreements(store, open_channels(deployment), replays=open_gateway(deployment))
    for finding in proof.disagreements:
        console.print(finding, highlight=False, soft_wrap=True)
    console.print(
        f"{proof.planned} treatments planned, {proof.messages} messages, {proof.left} left, {proof.confirmed} of them "
        f"confirmed by their receiver, {proof.unasked} by receivers that cannot be asked; "
        f"{len(proof.disagreements)} disagreements.",
        soft_wrap=True,
    )
    raise typer.Exit(int(bool(proof.disagreements)))
