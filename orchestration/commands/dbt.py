"""`holdfast dbt`: dbt by hand, with the variables and the environment of an instance."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, plain_faults


def dbt(
    arguments: Annotated[list[str], typer.Argument(help="what dbt is asked, after `--`: -- run -s customers")],
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day that the call stands for")
    ] = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Call dbt as the pipeline does; without `--as-of` it stands for the latest day of the feature snapshots."""
    with plain_faults():
        deployment = enter_deployment(company, home)
        from orchestration.dbt import read_run
        from orchestration.resources import open_warehouse

        day = as_of.date() if as_of else open_warehouse(deployment.settings).latest_day("features.customer_features")
        run = read_run(deployment.company, deployment.policy, as_of=day) if day else {}
        raise typer.Exit(deployment.dbt.execute(arguments, run=run, is_quiet=False))
