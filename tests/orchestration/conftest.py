"""The demo's company, for whose tests one process has parsed the dbt project, and an instance that never ran."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from instance import COMPANY as CORNER_SHOP

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


@pytest.fixture
def idle_instance(tmp_path: Path, sqlite_tables: Path) -> Path:
    """A folder with a company file and the state folder `home` of an instance with an empty store and no run."""
    (tmp_path / "company.yaml").write_text(CORNER_SHOP, encoding="utf-8")
    for name in ("customers", "orders"):
        (tmp_path / f"{name}.csv").write_text("id\n", encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    duckdb.connect(str(home / "warehouse.duckdb")).close()
    shutil.copy(sqlite_tables, home)
    return tmp_path


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
