"""How every command enters: the instance it works on, and faults told in one paragraph."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from company.file_faults import CompanyError

BAD_INPUT = 2
ROOT = Path(__file__).parent.parent.parent
QUIET_LIBRARIES = {
    "OMP_WAIT_POLICY": "passive",  # two trainings share the cores
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes for what no page of ours needs
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}

# a log file is as wide as its tables, a screen as wide as it is
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 130)

CompanyFile = Annotated[Path, typer.Option("--company", help="the company file")]
Home = Annotated[Path, typer.Option("--home", envvar="HOLDFAST_HOME", help="where the instance keeps its state")]


@contextmanager
def plain_faults() -> Iterator[None]:
    """Turn what a person can fix into one paragraph and exit code 2, and keep libraries from talking over it."""
    from company.industries import IndustryError
    from company.policy import PolicyError
    from orchestration.published import SegmentError
    from retention.acting.channels import ChannelError
    from retention.deciding.strategies import StrategyError

    os.environ.update(QUIET_LIBRARIES)
    try:
        yield
    except (CompanyError, IndustryError, ChannelError, PolicyError, SegmentError, StrategyError) as fault:
        console.print(str(fault), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None


def enter_instance(company: Path, home: Path) -> Path:
    """Point this process and its children at one company and one state folder; return the folder."""
    home = home.absolute()
    instance = home / "dagster"
    instance.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", instance / "dagster.yaml")
    os.environ.update(HOLDFAST_HOME=str(home), HOLDFAST_COMPANY=str(company.absolute()), DAGSTER_HOME=str(instance))
    return home
