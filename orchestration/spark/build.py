"""One day's tables built by Spark: the warehouse's inputs as Parquet, dbt on a session, and Parquet again."""

import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from expectations.spark import Count
from orchestration.dbt import Dbt, DbtError, NodeResult
from orchestration.deployment import Deployment
from orchestration.spark.job import Job, SparkFolder, Stages
from orchestration.warehouse import Warehouse

LAYERS = ("staging", "bookkeeping", "intermediate", "customer_360", "features", "training")
HISTORY = "customer_360.customer_history"  # its earlier days are an input of the day
LEAST_JAVA = 17


class SparkError(Exception):
    """The models cannot be built by Spark; the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class SparkDbt(Dbt):
    """dbt in a process of its own that holds a Spark session on `master`, with `memory` for its driver."""

    folder: SparkFolder
    master: str
    memory: str
    stages: Stages

    def execute(self, command: Sequence[str], *, run: Mapping[str, str], is_quiet: bool = True) -> int:
        """Run a dbt command and the stages on Spark and return dbt's exit code; what it reports is in the log."""
        arguments = tuple(self._arguments(command, is_quiet=is_quiet))
        job = Job(folder=self.folder, master=self.master, memory=self.memory, command=arguments, stages=self.stages)
        environment = {**self._environment(), **run, "HOLDFAST_TARGET": "spark"}
        if self.master.startswith("local"):
            environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}  # of the workers too
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            return subprocess.run(
                [sys.executable, "-P", "-m", "orchestration.spark.worker"],
                input=pickle.dumps(job), env=environment, stdout=log, stderr=log, check=False,
            ).returncode  # fmt: skip

    @property
    def log(self) -> Path:
        """What Spark and dbt reported of the last call."""
        return self.home / "spark.log"


@dataclass(frozen=True, kw_only=True)
class Built:
    """What became of each node of dbt; what the gates counted, training found and stages took, unless a node failed."""

    folder: SparkFolder
    nodes: list[NodeResult]
    counts: list[Count]
    training: Mapping[str, Any] | None
    seconds: Mapping[str, float]  # by stage

    @property
    def failed(self) -> list[NodeResult]:
        """The models and tests that failed, or were left out because of one."""
        return [each for each in self.nodes if each.status not in {"success", "pass"}]

    @property
    def closed_by(self) -> list[Count]:
        """The rules that close a gate; nothing is scored or published behind it."""
        return [each for each in self.counts if each.closes]


def build_on_spark(
    deployment: Deployment, warehouse: Warehouse, *, run: Mapping[str, str], master: str, memory: str, stages: Stages
) -> Built:
    """Build and test every model of LAYERS on Spark for the day of `run`, and go through the stages.

    The warehouse is read and stays as it is. Raises SparkError when Java or the extra is missing, the instance is
    encrypted, or the session cannot be opened.
    """
    require_spark()
    if deployment.settings.encryption_key:
        raise SparkError(
            "The instance is encrypted (HOLDFAST_ENCRYPTION_KEY), and Spark would be handed its tables as Parquet in "
            "clear. Build on DuckDB or the lake, which keep the key."
        )
    folder = SparkFolder(path=deployment.settings.home / "spark")
    shutil.rmtree(folder.path, ignore_errors=True)
    begun = time.perf_counter()
    export_inputs(warehouse, deployment.dbt.manifest, folder, as_of=date.fromisoformat(run["HOLDFAST_AS_OF"]))
    exported = time.perf_counter() - begun
    dbt = SparkDbt(
        home=folder.path, variables=deployment.dbt.variables, environment=deployment.dbt.environment,
        folder=folder, master=master, memory=memory, stages=stages,
    )  # fmt: skip
    try:
        nodes = dbt.build([f"path:models/{layer}" for layer in LAYERS], run=run)
    except DbtError:
        raise SparkError(f"Spark built nothing on {master}; what it reported is in {dbt.log}.") from None
    report = json.loads(folder.report.read_text()) if folder.report.exists() else {}
    built = Built(
        folder=folder,
        nodes=nodes,
        counts=[Count(**each) for each in report.get("counts", ())],
        training=report.get("training"),
        seconds={"inputs": exported, **report.get("seconds", {})},
    )
    if not built.failed and not folder.report.exists():
        raise SparkError(f"Spark built the models, and a later stage failed; what it reported is in {dbt.log}.")
    return built


def require_spark() -> None:
    """Raise SparkError where Java or a package of the extra is missing."""
    missing = [name for name in ("pyspark", "dbt.adapters.spark") if not _is_installed(name)]
    if missing:
        raise SparkError(
            f"Spark needs the package {missing[0]}, and it is not installed. Install the extra with it: "
            "`pip install 'holdfast[spark]'`, or in a checkout `.venv/bin/uv pip install -e '.[spark]'`."
        )
    if not shutil.which("java"):
        raise SparkError(
            f"Spark needs Java {LEAST_JAVA}, and no `java` is on the PATH. Install it, on Debian by "
            f"`apt-get install openjdk-{LEAST_JAVA}-jre-headless`."
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def export_inputs(warehouse: Warehouse, manifest: Mapping[str, Any], folder: SparkFolder, *, as_of: date) -> None:
    """Write every landed table and every table that Python writes and models read, and the history before `as_of`."""
    with warehouse.connect() as connection:
        for schema, name in _list_inputs(connection, manifest):
            (folder.inputs / schema).mkdir(parents=True, exist_ok=True)
            _export(connection, f"from {schema}.{name}", folder.inputs / schema / f"{name}.parquet")
        if warehouse.has_table(HISTORY):
            past = folder.find(HISTORY)
            past.parent.mkdir(parents=True, exist_ok=True)
            query = f"from {HISTORY} where as_of < date '{as_of}'"
            _export(connection, query, past, options=", partition_by (as_of)")


def _list_inputs(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    read = {(source["schema"], source["identifier"]) for source in manifest["sources"].values()}
    listed = connection.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_catalog = current_database() and table_type = 'BASE TABLE' order by all"
    ).fetchall()
    for schema, name in listed:
        if schema.startswith("raw_") or schema == "identity" or (schema, name) in read:
            yield schema, name


def _export(connection: duckdb.DuckDBPyConnection, query: str, target: Path, *, options: str = "") -> None:
    connection.execute(f"copy ({query}) to '{target}' (format parquet{options})")
