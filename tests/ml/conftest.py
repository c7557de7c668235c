"""A small world with a known hazard, models trained on it, and registries: a database's, and a server's."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import Columns, Feature, month_starts
from ml.registry import Registry, create_database
from ml.training.config import TrainConfig
from ml.training.monthly import Training, train
from ml.training.train import Fitted, fit

FEATURES = (
    Feature(
        "recency_days", "purchase", "days", "inactivity", "no purchase for {value:.0f} days", "{value:.0f} 天未购买"
    ),
    Feature(
        "orders_90d",
        "purchase",
        "orders",
        "spend_fall",
        "{value:.0f} orders in 90 days, last {recency_days:.0f} days ago",
        "90 天内 {value:.0f} 单",
    ),
    Feature("complaints", "service", "tickets", "service", "{value:.0f} open complaints", "{value:.0f} 个未结投诉"),
    Feature("plan", "product", "", "product", "on plan {value}", "套餐 {value}"),
)
NAMES = tuple(feature.name for feature in FEATURES)
COLUMNS = Columns("churned", "as_of", features=NAMES)


def snapshots(seed: int = 0, customers: int = 400, months: int = 6) -> pa.Table:
    """Stacked monthly snapshots; churn depends on recency, complaints and plan, orders are often missing."""
    draw = np.random.default_rng(seed)
    when = [day for day in month_starts(date(2025, 1, 1), date(2025, months, 1)) for _ in range(customers)]
    rows = len(when)
    recency = draw.exponential(20, rows).round()
    complaints = draw.poisson(0.4, rows).astype(float)
    plan = draw.choice(["basic", "plus", "pro"], rows)
    orders = np.where(draw.random(rows) < 0.3, np.nan, draw.poisson(6, rows))
    logit = -2.6 + 0.06 * recency + 0.9 * (complaints > 0) + np.where(plan == "basic", 0.8, 0.0)
    churned = draw.random(rows) < 1 / (1 + np.exp(-logit))
    return pa.table(
        {
            "as_of": pa.array(when, pa.date32()),
            "customer_id": [f"c{number % customers}" for number in range(rows)],
            "recency_days": recency,
            "orders_90d": pa.array(orders, from_pandas=True),
            "complaints": complaints,
            "plan": plan.tolist(),
            "churned": churned,
        }
    )


@pytest.fixture(scope="session")
def world() -> Callable[..., pa.Table]:
    """Draw a table of the world: see `snapshots`."""
    return snapshots


@pytest.fixture(scope="session")
def features() -> tuple[Feature, ...]:
    return FEATURES


@pytest.fixture(scope="session")
def names() -> tuple[str, ...]:
    return NAMES


@pytest.fixture(scope="session")
def table() -> pa.Table:
    return snapshots()


@pytest.fixture(scope="session")
def columns() -> Columns:
    """The columns of the world's snapshots."""
    return COLUMNS


@pytest.fixture(scope="session")
def one() -> TrainConfig:
    """One candidate, for tests that need any model."""
    return TrainConfig(candidates=("logistic_regression",))


@pytest.fixture(scope="session")
def fitted(table: pa.Table) -> Fitted:
    return fit(table, COLUMNS, TrainConfig(horizon_days=28))


@pytest.fixture(scope="session")
def small(table: pa.Table, one: TrainConfig) -> Fitted:
    """A model of one candidate."""
    return fit(table, COLUMNS, one)


@pytest.fixture(scope="session")
def train_month(table: pa.Table) -> Callable[[], Training]:
    """A month's training: two further lead times, one of them without labels, and two groups, one of them tiny."""
    rows = table.num_rows
    table = (
        table.append_column("is_treated", pa.nulls(rows, pa.bool_()))
        .append_column("churned_after_30", table.column("churned"))
        .append_column("churned_after_90", pa.nulls(rows, pa.bool_()))
        .append_column("group", pa.array(["few" if row < 8 else "busy" for row in range(rows)]))
    )
    columns = replace(
        COLUMNS,
        treated="is_treated",
        group="group",
        lead_times={30: "churned_after_30", 90: "churned_after_90"},
    )
    config = TrainConfig(candidates=("logistic_regression", "xgboost"), horizon_days=28, group_margin=0.05)
    return partial(train, table, columns, config)


@pytest.fixture(scope="session")
def training(train_month: Callable[[], Training]) -> Training:
    return train_month()


@pytest.fixture(scope="session")
def registry_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a registry, as the product creates it for an instance without a server."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    create_database(path, artifacts=(path.parent / "files").as_uri())
    return path


@pytest.fixture
def registry(registry_file: Path, tmp_path: Path) -> Registry:
    """A model that has no version yet, with files of its own below `artifacts`."""
    return Registry(f"sqlite:///{registry_file}", f"churn-{uuid4().hex[:8]}", artifacts=str(tmp_path / "files"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server on a loopback port."""
    home = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    stores = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "files")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        (home / "log").open("w") as log,
        subprocess.Popen([*command, *stores], stdout=log, stderr=log, env=quiet, start_new_session=True) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}", process, home / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(log.read_text())
