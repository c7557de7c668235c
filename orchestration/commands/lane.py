"""`holdfast lane`: the event lane, from a click to an alert within a second."""

from pathlib import Path

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults


def lane(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Collect events on loopback and follow them, until Ctrl-C; `holdfast ui` runs the same next to its pages."""
    with plain_faults():
        deployment = enter_deployment(company, home)
    from orchestration.pages import list_lane
    from orchestration.processes import supervise

    raise typer.Exit(0 if supervise(list_lane(deployment.settings), console=open_console()) else 1)
