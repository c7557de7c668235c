"""`holdfast run`: the pipeline for one day."""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from orchestration.entry import (
    BAD_INPUT,
    CompanyFile,
    Home,
    enter_deployment,
    enter_home,
    has_instance,
    open_console,
    plain_faults,
    print_fault,
    refuse,
)
from orchestration.processes import NIGHTLY

if TYPE_CHECKING:
    from rich.console import Console

    from company.company_file import Company
    from company.snapshot import SnapshotCompany


def run(
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the day that the run stands for")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
    report: Annotated[Path | None, typer.Option(help="write the run's figures here as JSON")] = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", help="show every asset and check")] = False,
    send: Annotated[bool, typer.Option("--send", help="really send the messages of a day that is over")] = False,
) -> None:
    """Run the pipeline for one day: ingest, build, gate, train when due, score, decide, send, measure."""
    console, day = open_console(), as_of.date()
    with plain_faults():
        from company.snapshot import read_snapshot_company

        flat = read_snapshot_company(company)
        if flat is not None:
            figures = _run_snapshot(flat, home, day, is_sending=send)
        else:
            figures = _run_company(company, home, day, console=console, is_verbose=verbose, is_sending=send)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(figures, indent=2, default=str) + "\n")
        console.print(f"Figures written to {report}.")


def _run_company(
    company: Path, home: Path, as_of: date, *, console: "Console", is_verbose: bool, is_sending: bool
) -> dict[str, Any]:
    from ingestion.readers import load_company

    os.nice(NIGHTLY)  # whoever is at the desk goes first
    refuse_bad_input(load_company(company), is_new=not has_instance(home))
    deployment = enter_deployment(company, home)
    refuse_foreign_day(deployment.company, as_of)
    from orchestration.engines import SPARK, open_engine
    from orchestration.home import hold
    from orchestration.pipeline import run_pipeline
    from orchestration.report import show
    from orchestration.runs import PipelineStoppedError

    if deployment.settings.models_on == SPARK:
        from orchestration.spark.build import require_spark

        require_spark(deployment.settings)
    try:
        with hold(deployment.settings.home), open_engine(deployment.settings).turn():
            figures = run_pipeline(deployment, as_of, console=console, is_verbose=is_verbose, is_sending=is_sending)
    except PipelineStoppedError as stop:
        print_fault(f"The pipeline stopped. {stop}")
        raise typer.Exit(BAD_INPUT if stop.is_bad_input else 1) from None
    show(figures, console)
    return figures


def _run_snapshot(company: "SnapshotCompany", home: Path, as_of: date, *, is_sending: bool) -> dict[str, Any]:
    """Run what a company with one flat table has: training, scores, reasons and a list of contacts."""
    from orchestration.commands.score_table import check_and_show, plain_flat_faults, score_and_show
    from orchestration.home import hold

    today = datetime.now(ZoneInfo(company.timezone)).date()
    if as_of > today:
        refuse(f"--as-of {as_of} lies in the future: today is {today} in {company.timezone}. Name the table's day.")
    if is_sending:
        refuse("--send: a company with one flat table gets a list of contacts, and nothing is sent. Take it out.")
    with plain_flat_faults():
        policy = company.load_policy()
        flat = check_and_show(company.snapshot, policy)
        settings = enter_home(home)
        with hold(settings.home):
            return score_and_show(company.snapshot, flat, policy, settings, as_of=as_of)


def refuse_foreign_day(company: "Company", as_of: date) -> None:
    """Leave with one paragraph when a day lies before the company's history or in the future."""
    today = datetime.now(ZoneInfo(company.timezone)).date()
    if company.history_starts <= as_of <= today:
        return
    refuse(
        f"--as-of {as_of} lies outside of the company's days. Its history starts on {company.history_starts} "
        f"(`history_starts` in {company.path}), and today is {today} in {company.timezone}; name a day between them."
    )


def refuse_bad_input(company: "Company", *, is_new: bool) -> None:
    """Leave with a paragraph for each setting that cannot be used and, before an instance is built, for each source.

    Sources are read in full for that once, so that all a person must fix is reported at once.
    """
    from ingestion.check import check_company
    from orchestration.commands.check import find_wrong_settings

    faults = [*find_wrong_settings(company)]
    if is_new:
        faults += check_company(company, secrets=os.environ, now=datetime.now(UTC)).faults
    for fault in faults:
        print_fault(fault)
    if faults:
        raise typer.Exit(BAD_INPUT)
