"""dbt and the stages of a day on a Spark session: one call, and a whole day next to the warehouse."""

import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expectations.spark import Count
from orchestration.dbt import BUILT, PASSED, Dbt, DbtError, NodeResult
from orchestration.deployment import Deployment
from orchestration.engines import EngineError
from orchestration.settings import Settings
from orchestration.spark.exchange import export_days, export_inputs, export_rows
from orchestration.spark.job import Job, SparkFolder, Stages
from orchestration.warehouse import Warehouse

LAYERS = ("staging", "bookkeeping", "intermediate", "customer_360", "features", "training")
HISTORY = "model.holdfast.customer_history"  # its earlier days are an input of the day
LEAST_JAVA = 17


class SparkError(EngineError):
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
        return start_worker(job, environment={**self._environment(), **run, "HOLDFAST_TARGET": "spark"})


def start_worker(job: Job, *, environment: Mapping[str, str]) -> int:
    """Open a session in a process of its own for a job, and return its exit code once it has ended."""
    own = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}  # of the workers too
    job.folder.path.mkdir(parents=True, exist_ok=True)
    with job.folder.log.open("wb") as log:
        return subprocess.run(
            [sys.executable, "-P", "-m", "orchestration.spark.worker"], input=pickle.dumps(job), stdout=log, stderr=log,
            env={**environment, **(own if job.master.startswith("local") else {})}, check=False,
        ).returncode  # fmt: skip


def call_stages(
    deployment: Deployment, warehouse: Warehouse, stages: Stages, *, name: str, relation: str, condition: str,
    failure: str,
) -> SparkFolder:  # fmt: skip
    """Go through stages in a session of their own, on the rows of `relation` that hold a `condition`.

    Returns the folder HOME/spark/`name`, in which they left what they made. Raises SparkError when Spark is missing, or
    with the `failure` when it breaks.
    """
    settings = deployment.settings
    require_spark(settings)
    folder = SparkFolder(path=settings.spark_folder / name)
    folder.clear()
    folder.report.unlink(missing_ok=True)
    export_rows(warehouse, relation, folder, condition=condition)
    job = Job(folder=folder, master=settings.spark_master, memory=settings.spark_memory, command=(), stages=stages)
    start_worker(job, environment=settings.environment)
    if not folder.report.exists():
        raise SparkError(f"{failure} on {settings.spark_master}; what it reported is in {folder.log}.")
    return folder


@dataclass(frozen=True, kw_only=True)
class Built:
    """What became of each node of dbt; what the gates counted, training found and stages took, unless a node failed.

    `columns` are the types of the columns of each table that was made, in Spark's words.
    """

    folder: SparkFolder
    nodes: list[NodeResult]
    counts: list[Count]
    training: Mapping[str, Any] | None
    columns: Mapping[str, Mapping[str, str]]
    seconds: Mapping[str, float]  # by stage

    @property
    def failed(self) -> list[NodeResult]:
        """The models and tests that failed, or were left out because of one."""
        return [each for each in self.nodes if each.status not in {BUILT, PASSED}]

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
    require_spark(deployment.settings)
    folder = SparkFolder(path=deployment.settings.spark_folder)
    folder.clear()
    begun = time.perf_counter()
    manifest = deployment.dbt.manifest
    nodes = [key for key, node in manifest["nodes"].items() if node["path"].split("/")[0] in LAYERS]
    export_inputs(warehouse, manifest, nodes, folder)
    export_days(warehouse, manifest["nodes"][HISTORY], folder, condition=f"as_of < date '{run['HOLDFAST_AS_OF']}'")
    exported = time.perf_counter() - begun
    selected = [f"path:models/{layer}" for layer in LAYERS]
    built = call_spark(deployment, folder, selected, run=run, master=master, memory=memory, stages=stages)
    return replace(built, seconds={"inputs": exported, **built.seconds})


def call_spark(
    deployment: Deployment, folder: SparkFolder, nodes: Sequence[str], *, run: Mapping[str, str], master: str,
    memory: str, stages: Stages,
) -> Built:  # fmt: skip
    """Build and test what dbt's selectors `nodes` name from what is in `folder`, and go through the stages.

    Raises SparkError when the session cannot be opened, or a stage fails.
    """
    dbt = SparkDbt(
        home=folder.path, variables=deployment.dbt.variables, environment=deployment.dbt.environment,
        folder=folder, master=master, memory=memory, stages=stages,
    )  # fmt: skip
    folder.report.unlink(missing_ok=True)
    try:
        results = dbt.build(nodes, run=run)
    except DbtError:
        raise SparkError(f"Spark built nothing on {master}; what it reported is in {folder.log}.") from None
    report = json.loads(folder.report.read_text()) if folder.report.exists() else {}
    built = Built(
        folder=folder,
        nodes=results,
        counts=[Count(**each) for each in report.get("counts", ())],
        training=report.get("training"),
        columns=report.get("columns", {}),
        seconds=report.get("seconds", {}),
    )
    if not built.failed and not folder.report.exists():
        raise SparkError(f"Spark built the models, and a later stage failed; what it reported is in {folder.log}.")
    return built


def require_spark(settings: Settings) -> None:
    """Raise SparkError where Java or a package of the extra is missing, or the instance is encrypted."""
    if settings.encryption_key:
        raise SparkError(
            "The instance is encrypted (HOLDFAST_ENCRYPTION_KEY), and Spark would be handed its tables as Parquet in "
            "clear. Build on DuckDB or the lake, which keep the key."
        )
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
