"""The demo's company, for whose tests one process has parsed the dbt project."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.dbt import WarmDbt
from orchestration.deployment import Deployment, load_deployment
from orchestration.settings import read_settings

COMPANY = Path(__file__).parents[2] / "examples" / "complete_journey" / "company.yaml"


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """Keep the process's file mode mask as it was: a command that enters an instance closes it to others."""
    kept = os.umask(0o022)
    os.umask(kept)
    yield
    os.umask(kept)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The demo's company, before its first run, whose dbt serves until the session ends."""
    named = {"HOLDFAST_HOME": str(tmp_path_factory.mktemp("demo") / "home"), "HOLDFAST_COMPANY": str(COMPANY)}
    deployment = load_deployment(read_settings({**os.environ, **named}))
    with deployment.dbt.warm() as dbt:
        yield replace(deployment, dbt=dbt)


@pytest.fixture(scope="session")
def dbt(demo: Deployment) -> WarmDbt:
    assert isinstance(demo.dbt, WarmDbt)
    return demo.dbt
