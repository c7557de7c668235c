"""`holdfast quarantine`: the rows that were refused, and why."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults, require_instance


def quarantine(home: Home = Path(".holdfast"), limit: Annotated[int, typer.Option()] = 20) -> None:
    """Show quarantined rows with their source and reason."""
    from orchestration.report import show_quarantine
    from orchestration.resources import open_warehouse

    with plain_faults():
        require_instance(home)
        show_quarantine(open_warehouse(enter_home(home)), open_console(), limit=limit)
