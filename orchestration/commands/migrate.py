"""`holdfast migrate`: move the warehouse to another engine."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults, refuse, require_instance


def migrate(
    to: Annotated[str, typer.Option(help="the target to move to: duckdb or lake; docs/engines.md")],
    home: Home = Path(".holdfast"),
) -> None:
    """Copy every table to another engine, all or none, verified by row counts and checksums; the old one stays."""
    from orchestration.engines import choose_engine, open_engine
    from orchestration.home import hold
    from orchestration.migration import MigrationError
    from orchestration.migration import migrate as move
    from orchestration.report import tabulate

    console = open_console()
    with plain_faults(MigrationError):
        require_instance(home)
        settings = enter_home(home)
        if to == settings.target:
            refuse(f"--to {to}: the instance is on that target already (HOLDFAST_TARGET). Name another one.")
        source, target = open_engine(settings), choose_engine(settings, to)
        with hold(settings.home), source.turn(), target.turn():
            moved = move(source, target)
    rows = [{"table": each.table, "rows": each.rows, "checksum": each.checksum} for each in moved]
    console.print(tabulate("Moved", rows))
    console.print(
        f"{len(moved)} tables with {sum(each.rows for each in moved):,} rows are on {target.name}, each equal to what "
        f"it was. Set HOLDFAST_TARGET={to} for every process of this instance from now on; {source.name} is as it was "
        "and may go once a run has ended well.",
        highlight=False,
        soft_wrap=True,
    )
