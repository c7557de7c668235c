"""The `holdfast` command."""

import json
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from company.company_file import load_company
from orchestration.commands import identity, models
from orchestration.commands.entry import BAD_INPUT, CompanyFile, Home, console, enter_instance, plain_faults
from orchestration.commands.segments import segment


class Seam(StrEnum):
    """The five gates."""

    SOURCES = "sources"
    CUSTOMER_360 = "customer_360"
    FEATURES = "features"
    SCORES = "scores"
    PLANS = "plans"


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def refuse_bad_input(path: Path, home: Path) -> None:
    """Read every source before a new instance is built, so that what a person must fix is said at once and in whole."""
    from company.industries import load_industry
    from company.policy import load_policy
    from ingestion.check import check_company

    company = load_company(path)
    load_policy(load_industry(company.industry).policy, company.policy)
    if (home / "warehouse.duckdb").exists():
        return
    report = check_company(company, secrets=os.environ)
    for fault in report.faults:
        console.print(fault, style="red", highlight=False, markup=False, soft_wrap=True)
    if report.faults:
        raise typer.Exit(BAD_INPUT)


@app.command()
def init(path: Annotated[Path, typer.Argument()] = Path("company.yaml")) -> None:
    """Write a commented company file to start from."""
    from ingestion.starter import write_company

    with plain_faults():
        write_company(path)
    console.print(f"Wrote {path}. Fill it in, then: holdfast check {path}")


@app.command()
def check(company: Annotated[Path, typer.Argument()] = Path("company.yaml")) -> None:
    """Say what a company file connects, what is missing, and show counts and samples; loads nothing."""
    from ingestion.check import check_company

    with plain_faults():
        report = check_company(load_company(company), secrets=os.environ)
    from orchestration.report import show_check

    show_check(report, console)
    raise typer.Exit(0 if report.is_sound else BAD_INPUT)


@app.command()
def run(
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the day that the run stands for")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
    report: Annotated[Path | None, typer.Option(help="write the run's figures here as JSON")] = None,
) -> None:
    """Run the line for one day: ingest, build, gate, train when due, score, decide, send, measure."""
    with plain_faults():
        refuse_bad_input(company, home)
        enter_instance(company, home)
        from orchestration.pipeline import run_pipeline
        from orchestration.runs import PipelineStoppedError

        try:
            figures = run_pipeline(as_of.date(), console=console)
        except PipelineStoppedError as stop:
            console.print(f"The line stopped. {stop}", style="red", highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(BAD_INPUT if stop.is_bad_input else 1) from None
    from orchestration.report import show

    show(figures, console)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(figures, indent=2, default=str) + "\n")
        console.print(f"Figures written to {report}.")


@app.command()
def ui(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Open Dagster's and MLflow's pages on loopback, with schedules and sensors running."""
    with plain_faults():
        load_company(company)
        state = enter_instance(company, home)
    from orchestration.pages import serve

    serve(state, console=console)


@app.command()
def override(  # noqa: PLR0917 - the options of a command
    seam: Annotated[Seam, typer.Argument(help="the gate")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the day whose gate is closed")],
    by: Annotated[str, typer.Option(help="who takes it upon themselves")],
    reason: Annotated[str, typer.Option(help="why the line may go on")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Let the line go on behind a closed gate, by name and with a reason; both are recorded."""
    with plain_faults():
        load_company(company)
        enter_instance(company, home)
        from orchestration.control.gate_overrides import GateOverrides
        from orchestration.defs.resources import open_store

        GateOverrides(open_store()).grant(seam.value, as_of.date(), by=by, reason=reason, at=datetime.now(UTC))
    console.print(f"The {seam.value} gate of {as_of.date()} is overridden by {by}. Materialize the stages behind it.")


@app.command()
def quarantine(home: Home = Path(".holdfast"), limit: Annotated[int, typer.Option()] = 20) -> None:
    """Show quarantined rows with their source and reason."""
    from orchestration.report import show_quarantine

    with plain_faults():
        show_quarantine(home / "warehouse.duckdb", console, limit=limit)


app.command()(segment)
app.add_typer(identity.app, name="identity")
app.add_typer(models.app, name="model")

if __name__ == "__main__":
    sys.exit(app())
