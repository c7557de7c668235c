"""How every command enters: the instance it works on, its console, and faults told in one paragraph."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from company.file_faults import CompanyError
from orchestration.home import HomeError, prepare_home
from orchestration.settings import Settings, read_settings

if TYPE_CHECKING:
    from orchestration.deployment import Deployment
    from retention.store.store import Store

BAD_INPUT = 2
PLAIN_WIDTH = 130  # columns of a console that is no terminal
DAGSTER_CONFIG = Path(__file__).parent.parent / "dagster.yaml"
OWN_DAGSTER_CONFIG = "HOLDFAST_DAGSTER_CONFIG"  # a file of the company's own that takes its place
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

CompanyFile = Annotated[Path, typer.Option("--company", envvar="HOLDFAST_COMPANY", help="the company file")]
Home = Annotated[Path, typer.Option("--home", envvar="HOLDFAST_HOME", help="where the instance keeps its state")]
By = Annotated[str, typer.Option(help="who decides")]


def open_console() -> Console:
    """Return the console of this process: a log file is as wide as its tables, a terminal as wide as it is."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH)


def refuse(message: str) -> NoReturn:
    """Say what a person must fix, and leave with exit code 2."""
    print_fault(message)
    raise typer.Exit(BAD_INPUT)


def print_fault(message: str) -> None:
    """Print one fault as a paragraph, word for word."""
    open_console().print(message, style="red", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def plain_faults(*further: type[Exception]) -> Iterator[None]:
    """Turn what a person can fix into one paragraph and exit code 2, and keep libraries from talking over it.

    `further` are errors that one command raises besides.
    """
    from company.encryption import EncryptionError
    from company.industries import IndustryError
    from company.policy import PolicyError
    from company.transit import TransitError
    from orchestration.engines import EngineError
    from orchestration.published import SegmentError
    from retention.acting.channels import ChannelError

    os.environ.update(QUIET_LIBRARIES)
    expected: tuple[type[Exception], ...] = (CompanyError, EncryptionError, HomeError, IndustryError)
    expected += (ChannelError, PolicyError, SegmentError, TransitError, EngineError, *further)
    try:
        yield
    except expected as fault:
        refuse(str(fault))


def read_home(home: Path) -> Settings:
    """Return the settings of the instance in `home`, which is left as it is."""
    return read_settings({**os.environ, "HOLDFAST_HOME": str(home.absolute())})


def has_instance(home: Path) -> bool:
    """Tell whether a run has built an instance in `home`; raises EngineError where its warehouse cannot be reached."""
    from orchestration.engines import open_engine

    return home.is_dir() and open_engine(read_home(home)).exists()


def require_instance(home: Path) -> None:
    """Raise HomeError unless a run has built an instance in `home`."""
    if not has_instance(home):
        raise HomeError(f"{home}: there is no instance here yet. Correct `--home`, or begin with `holdfast run`.")


def enter_home(home: Path) -> Settings:
    """Return the settings of the instance in `home`, whose folder is made ready, for what needs no company file.

    Raises HomeError where the folder cannot be used.
    """
    prepare_home(home.absolute())
    return read_home(home)


def enter_deployment(company: Path, home: Path) -> "Deployment":
    """Return the deployment of that company file on the instance in `home`, whose folder is made ready.

    Nothing is made when a file is wrong. Raises HomeError where the folder cannot be used.
    """
    from orchestration.deployment import load_deployment
    from orchestration.encryption import check_key
    from orchestration.transit import refuse_plain

    dagster = home.absolute() / "dagster"
    named = {
        "HOLDFAST_HOME": str(home.absolute()),
        "HOLDFAST_COMPANY": str(company.absolute()),
        "DAGSTER_HOME": str(dagster),
    }
    deployment = load_deployment(read_settings({**os.environ, **named}))
    check_key(deployment.settings, deployment.company)
    refuse_plain(deployment.company, deployment.settings.environment)
    configured = _read_dagster_config(deployment.settings).replace("{home}", str(dagster))
    prepare_home(home.absolute())
    dagster.mkdir(exist_ok=True)
    (dagster / "dagster.yaml").write_text(configured, encoding="utf-8")
    return deployment


def _read_dagster_config(settings: Settings) -> str:
    own = settings.environment.get(OWN_DAGSTER_CONFIG, "")
    if own and not Path(own).is_file():
        raise HomeError(f"{OWN_DAGSTER_CONFIG} names {own}, and no file is there. Correct it, or leave it unset.")
    return Path(own or DAGSTER_CONFIG).read_text(encoding="utf-8")


@contextmanager
def entered(company: Path, home: Path) -> "Iterator[tuple[Deployment, Store]]":
    """Yield the deployment and its open store; what a person can fix leaves as one paragraph."""
    with plain_faults(ValueError):
        require_instance(home)
        deployment = enter_deployment(company, home)
        from orchestration.resources import open_store

        with open_store(deployment.settings) as store:
            yield deployment, store
