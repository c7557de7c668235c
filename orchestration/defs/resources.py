"""Where the instance stands: the only place that reads the environment, and the resources made from it."""

import os
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster_dbt import DbtCliResource

from company.company_file import Company, load_company
from company.industries import load_industry
from company.policy import Policy, load_policy
from orchestration.dbt import PROJECT, prepare, read_features, read_run, read_variables
from orchestration.published import Published, published_in
from orchestration.warehouse import Warehouse
from retention.acting.channels import Channel, build_channels
from retention.deciding.strategies import load_strategies
from retention.store.store import Store

if TYPE_CHECKING:
    from ml.registry import Registry

HOME = Path(os.environ.get("HOLDFAST_HOME", ".holdfast")).absolute()
COMPANY: Company = load_company(Path(os.environ.get("HOLDFAST_COMPANY", "company.yaml")))
INDUSTRY = load_industry(COMPANY.industry)
POLICY: Policy = load_policy(INDUSTRY.policy, COMPANY.policy)
STRATEGIES = load_strategies(INDUSTRY.path, *COMPANY.strategy_files)
OPERATIONAL_URL = os.environ.get("HOLDFAST_OPERATIONAL_URL", f"sqlite:///{HOME / 'operational.db'}")
REGISTRY_FILE = HOME / "mlflow" / "mlflow.db"
TRACKING_URI = os.environ.get("HOLDFAST_TRACKING_URI", f"sqlite:///{REGISTRY_FILE}")
PUBLISHED: Published = published_in(HOME)
DOCS_URL = os.environ.get("HOLDFAST_DOCS_URL", (HOME / "docs" / "index.html").as_uri())
WEBSERVER_URL = os.environ.get("HOLDFAST_WEBSERVER_URL", "http://127.0.0.1:3000")


# dbt and its profile run in processes of their own and find the warehouse by this variable.
os.environ["HOLDFAST_HOME"] = str(HOME)
VARIABLES = read_variables(COMPANY, POLICY)
MODELS = prepare(HOME, VARIABLES)
FEATURES = read_features(MODELS.manifest_path)


def tell_dbt(as_of: date) -> None:
    """Let the processes of dbt that are started from now on know the day of the run and the slices it needs."""
    os.environ.update(read_run(COMPANY, POLICY, as_of=as_of))


def read_secrets(names: Iterable[str]) -> dict[str, str]:
    """Return the named secrets that the environment holds; read when a connection is opened, never kept."""
    return {name: os.environ[name] for name in names if name in os.environ}


def open_channels() -> dict[str, Channel]:
    """Return the ways out of the instance that the company file names; a folder of files when it names none."""
    secrets = read_secrets(os.environ)
    return build_channels(COMPANY.channels, folder=HOME / "outbox", secrets=secrets)


def open_store() -> Store:
    """Return the operational store with its schema up to date."""
    store = Store(OPERATIONAL_URL)
    store.migrate()
    return store


def open_registry() -> "Registry":
    """Return the model registry."""
    from ml.registry import Registry, create_database

    artifacts = (HOME / "mlflow" / "artifacts").as_uri()
    if f"sqlite:///{REGISTRY_FILE}" == TRACKING_URI:
        create_database(REGISTRY_FILE, artifacts=artifacts)
    return Registry(TRACKING_URI, artifacts=artifacts)


@dg.definitions
def resources() -> dg.Definitions:
    """Name what asset bodies may ask for."""
    return dg.Definitions(
        resources={
            "warehouse": Warehouse(path=str(HOME / "warehouse.duckdb")),
            "dbt": DbtCliResource(
                project_dir=str(PROJECT),
                profiles_dir=str(PROJECT),
                dbt_executable=str(Path(sys.executable).with_name("dbt")),
            ),
        },
        executor=dg.in_process_executor,
    )
