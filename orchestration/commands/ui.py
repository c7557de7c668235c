"""`holdfast ui`: the pages of an instance."""

from pathlib import Path

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults


def ui(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Open the desk, Dagster's and MLflow's pages and dbt's docs on loopback, with schedules and sensors running."""
    with plain_faults():
        deployment = enter_deployment(company, home)
    from orchestration.pages import serve

    raise typer.Exit(0 if serve(deployment, console=open_console()) else 1)
