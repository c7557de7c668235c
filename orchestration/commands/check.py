"""`holdfast check`: what a company file connects, and what is wrong with it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingestion.readers import load_company
from orchestration.entry import BAD_INPUT, open_console, plain_faults, print_fault

if TYPE_CHECKING:
    from company.company_file import Company

AsOf = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day of the run to come, else today")]


def check(company: Annotated[Path, typer.Argument()] = Path("company.yaml"), as_of: AsOf = None) -> None:
    """Report what a company file connects and what is missing, with counts and samples; loads nothing."""
    from ingestion.check import check_company
    from orchestration.report import show_check
    from orchestration.transit import refuse_plain

    with plain_faults():
        if check_snapshot(company):
            return
        declared = load_company(company)
        refuse_plain(declared, os.environ)
        wrong = list(find_wrong_settings(declared))
        day = as_of.date() if as_of else None
        report = check_company(declared, secrets=os.environ, now=datetime.now(UTC), as_of=day)
    show_check(report, open_console())
    for fault in wrong:
        print_fault(fault)
    raise typer.Exit(BAD_INPUT if report.faults or wrong else int(bool(report.closed)))


def check_snapshot(company: Path) -> bool:
    """Check the flat table of a company that has nothing else; returns whether this is one."""
    from company.snapshot import read_snapshot_company
    from orchestration.commands.score_table import check_and_show, plain_flat_faults

    declared = read_snapshot_company(company)
    if declared is None:
        return False
    with plain_flat_faults():
        check_and_show(declared.snapshot, declared.load_policy())
    open_console().print("The table can be scored: `holdfast run` trains on it.", highlight=False)
    return True


def find_wrong_settings(company: "Company") -> Iterator[str]:
    """Yield paragraphs for the company's strategies and for its channels, where a run could not use them.

    Raises PolicyError when the company's policy cannot be.
    """
    from company.file_faults import CompanyError
    from company.industries import load_industry
    from company.policy import load_policy
    from retention.acting.channels import ChannelError, build_channels
    from retention.deciding.strategy_files import load_strategies

    industry = load_industry(company.industry)
    policy = load_policy(industry.policy, company.policy)
    try:
        load_strategies(industry.path, *company.strategy_files, policy=policy, currency=company.currency)
    except CompanyError as fault:
        yield str(fault)
    try:
        build_channels(company.channels, folder=Path("outbox"), secrets=os.environ)
    except ChannelError as fault:
        yield str(fault)
