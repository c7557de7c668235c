"""`holdfast check`: what a company file connects, and what is wrong with it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ingestion.readers import load_company
from orchestration.entry import BAD_INPUT, open_console, plain_faults


def check(company: Annotated[Path, typer.Argument()] = Path("company.yaml")) -> None:
    """Report what a company file connects and what is missing, with counts and samples; loads nothing."""
    from ingestion.check import check_company
    from orchestration.report import show_check

    with plain_faults():
        report = check_company(load_company(company), secrets=os.environ, now=datetime.now(UTC))
    show_check(report, open_console())
    raise typer.Exit(BAD_INPUT if report.faults else int(bool(report.closed)))
