"""`holdfast lake`: what only the target `lake` has: its snapshots, and tables as they were at any of them."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults, refuse, require_instance

if TYPE_CHECKING:
    from orchestration.engines import Lake

app = typer.Typer(no_args_is_help=True, help="The past of a warehouse on DuckLake; docs/engines.md describes it.")


@app.command()
def snapshots(
    home: Home = Path(".holdfast"), limit: Annotated[int, typer.Option(help="how many, the newest first")] = 20
) -> None:
    """Show when tables changed, and which; each snapshot can be read until `warehouse_history_days` have passed."""
    from orchestration.report import tabulate

    with plain_faults():
        rows = [
            {"snapshot": number, "at": f"{moment:%Y-%m-%d %H:%M:%S}", "tables": ", ".join(tables)}
            for number, moment, tables in _enter(home).list_snapshots(limit)
        ]
    open_console().print(tabulate("Snapshots, in UTC", rows) if rows else "Nothing was ever written.")


@app.command()
def read(
    table: Annotated[str, typer.Argument(help="schema and table, such as scores.churn_scores")],
    at: Annotated[datetime, typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="the moment, in UTC")],
    customer: Annotated[str | None, typer.Option(help="only the rows of this customer id")] = None,
    home: Home = Path(".holdfast"),
    limit: Annotated[int, typer.Option()] = 20,
) -> None:
    """Show rows of a table as they were at a moment: the score that people saw then, whatever became of it."""
    from orchestration.report import tabulate

    with plain_faults():
        lake = _enter(home)
        rows: list[dict[str, Any]] = lake.read_past(table, at=at, customer=customer, limit=limit)
    title = f"{table} as of {at:%Y-%m-%d %H:%M:%S} UTC"
    open_console().print(tabulate(title, rows) if rows else f"{title}: no rows.")


def _enter(home: Path) -> "Lake":
    from orchestration.engines import Lake, open_engine

    require_instance(home)
    engine = open_engine(enter_home(home))
    if not isinstance(engine, Lake):
        refuse("The target duckdb keeps one state of every table. Move to the lake first: docs/engines.md.")
    return engine
