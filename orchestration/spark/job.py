"""What the process with the Spark session is handed, and where it leaves what it makes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from expectations.spark import SparkSuite
from ml.training.spark import Regrowth
from orchestration.scoring import Scorer

SCORED = ("scores.churn_scores", "scores.churn_reasons", "scores.lead_scores")


@dataclass(frozen=True, kw_only=True)
class SparkFolder:
    """Where a build keeps its Parquet: `inputs` as the warehouse had them, `tables` as Spark made them."""

    path: Path

    @property
    def inputs(self) -> Path:
        """One file per table, below a folder per schema."""
        return self.path / "inputs"

    @property
    def tables(self) -> Path:
        """Spark's own warehouse: a folder per schema, one of files per table."""
        return self.path / "tables"

    @property
    def made_from(self) -> Path:
        """What the tables were made from, where the next step of a run goes on with them."""
        return self.path / "made_from.txt"

    @property
    def report(self) -> Path:
        """What the stages after the models found, as JSON."""
        return self.path / "report.json"

    @property
    def log(self) -> Path:
        """What Spark and dbt reported of the last call."""
        return self.path / "spark.log"

    @property
    def model(self) -> Path:
        """The model whose trees learned from all rows."""
        return self.path / "model.json"

    def find(self, table: str) -> Path:
        """Return the folder of the files of `schema.name`."""
        schema, name = table.split(".")
        return self.tables / f"{schema}.db" / name

    def clear(self) -> None:
        """Take away all but what dbt has parsed."""
        self.made_from.unlink(missing_ok=True)
        for folder in (self.inputs, self.tables):
            shutil.rmtree(folder, ignore_errors=True)

    def forget(self, table: str) -> None:
        """Take away the files of `schema.name`."""
        shutil.rmtree(self.find(table), ignore_errors=True)

    def holds(self, table: str) -> bool:
        """Tell whether there are files of `schema.name`."""
        return any(self.find(table).rglob("*.parquet"))

    def list_tables(self) -> list[str]:
        """Return `schema.name` of every folder of a table, in order."""
        return [f"{made.parent.stem}.{made.name}" for made in sorted(self.tables.glob("*.db/*"))]


@dataclass(frozen=True, kw_only=True)
class Stages:
    """What follows when all models stand: a gate, scores by the champion, the gate on those, and trees of all rows.

    Without a `scorer` there are no scores: no model is champion yet, and rules score on the driver. Without a
    `regrowth` the driver's training is enough.
    """

    gates: tuple[SparkSuite, ...] = ()
    scorer: Scorer | None = None
    batch: int = 1
    score_gates: tuple[SparkSuite, ...] = ()
    regrowth: Regrowth | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A session on `master` with a driver of `memory`, dbt's arguments where there are models, and the stages."""

    folder: SparkFolder
    master: str
    memory: str
    command: tuple[str, ...]
    stages: Stages
