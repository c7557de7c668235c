"""dbt and what follows it on a Spark session of this process: `python -m orchestration.spark.worker < JOB`.

The catalogue lives as long as the process: it begins with the inputs, and what is made stays as Parquet in the job's
folder. The exit code is dbt's.
"""

import json
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.spark import count_offenders
from ml.training.spark import Regrowth, regrow
from orchestration.scoring import Scorer
from orchestration.spark.job import SCORED, Job, SparkFolder, Stages
from orchestration.spark.scores import ELIGIBLE, score_day
from orchestration.training_set import LABELLED, name_learned

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KNOWN = f"select * from {LABELLED} where {{learned}} and churned is not null and not coalesce(is_treated, false)"


def main() -> int:
    """Open the session, show it the tables that are there, run dbt and the stages, and return dbt's exit code."""
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    session = open_session(job)
    try:
        show_all(session, job.folder)
        seconds: dict[str, float] = {}
        with take_time(seconds, "models and tests"):
            code = run_dbt(job.command) if job.command else 0
        if not code:
            report = run_stages(session, job.stages, job.folder, seconds=seconds)
            columns = describe_tables(session, job.folder)
            job.folder.report.write_text(json.dumps({**report, "columns": columns, "seconds": seconds}))
        return code
    finally:
        session.stop()


def run_dbt(command: Sequence[str]) -> int:
    """Run a dbt command on the session of this process and return its exit code."""
    from dbt.cli.main import dbtRunner

    from orchestration.dbt_worker import read_code

    done = dbtRunner().invoke(list(command))
    if done.exception:
        print(done.exception, file=sys.stderr)  # noqa: T201 - as dbt's own command line does
    return read_code(done)


@contextmanager
def take_time(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add what the block takes to the seconds of its stage."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begun


def run_stages(
    session: "SparkSession", stages: Stages, folder: SparkFolder, *, seconds: dict[str, float]
) -> dict[str, Any]:
    """Judge the tables, and where no gate closes, score, judge the scores and train; return what a report shows.

    What each stage took is added to `seconds`.
    """
    with take_time(seconds, "gates"):
        counts = list(count_offenders(session, stages.gates))
    training = None
    if not any(each.closes for each in counts):
        if stages.scorer is not None:
            with take_time(seconds, "scores"):
                _score(session, stages, stages.scorer, folder)
            with take_time(seconds, "gates"):
                counts += count_offenders(session, stages.score_gates)
        if stages.regrowth is not None:
            with take_time(seconds, "training"):
                training = _train(session, stages.regrowth, folder)
    return {"counts": [asdict(each) for each in counts], "training": training}


def _score(session: "SparkSession", stages: Stages, scorer: Scorer, folder: SparkFolder) -> None:
    for table in SCORED:  # before the files are there: an empty one that dbt makes of a source would take them along
        session.sql(f"drop table if exists {table}")
    score_day(session.sql(ELIGIBLE.format(as_of=scorer.as_of)), scorer, folder, batch=stages.batch)
    for table in SCORED:
        show(session, table, folder.find(table))


def _train(session: "SparkSession", regrowth: Regrowth, folder: SparkFolder) -> dict[str, Any]:
    learned = name_learned(until=regrowth.until, newest=regrowth.newest)
    grown = regrow(session.sql(KNOWN.format(learned=learned)), regrowth)
    folder.model.write_bytes(grown.model.to_bytes())
    return grown.describe()


def open_session(job: Job) -> "SparkSession":
    """Return a session whose moments are UTC, as the warehouse's are, and which no other machine can reach."""
    from pyspark.sql import SparkSession

    options = {
        "spark.driver.memory": job.memory,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(job.folder.tables),
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.sql.parquet.inferTimestampNTZ.enabled": "false",  # else two kinds of moments meet
        "spark.sql.sources.partitionOverwriteMode": "dynamic",  # a snapshot takes its own place only
        "spark.sql.shuffle.partitions": "4",  # adaptive execution divides what is large
        "spark.sql.ui.explainMode": "simple",  # plans of hundreds of columns take longer to describe than to run
        "spark.sql.maxPlanStringLength": "1000",
    }
    if job.master.startswith("local"):
        options |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder.appName("holdfast").master(job.master)
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def describe_tables(session: "SparkSession", folder: SparkFolder) -> dict[str, dict[str, str]]:
    """Return the type of each column of all that was made, by table: files without a row do not say it."""
    return {table: dict(session.table(table).dtypes) for table in folder.list_tables()}


def show_all(session: "SparkSession", folder: SparkFolder) -> None:
    """Make tables of the inputs, and of the histories that the day goes on with."""
    for file in sorted(folder.inputs.glob("*/*.parquet")):
        show(session, f"{file.parent.name}.{file.stem}", file)
    for table in folder.list_tables():
        if folder.holds(table):  # a first day has no history
            show(session, table, folder.find(table))


def show(session: "SparkSession", table: str, files: Path) -> None:
    """Make Parquet that is there a table of the catalogue."""
    session.sql(f"create schema if not exists {table.partition('.')[0]}")
    session.sql(f"create table {table} using parquet location '{files}'")
    if any(files.glob("*=*")):
        session.sql(f"msck repair table {table}")


if __name__ == "__main__":
    sys.exit(main())
