"""dbt on a Spark session of this process: `python -m orchestration.spark.worker INPUTS TABLES MASTER MEMORY DBT...`.

The catalogue lives as long as the process: it begins with the inputs, and what dbt makes stays as Parquet below TABLES.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def main(arguments: Sequence[str]) -> int:
    """Open the session, show it the tables that are there, run dbt and return its exit code."""
    from dbt.cli.main import dbtRunner

    from orchestration.dbt_worker import read_code

    inputs, tables, master, memory, *command = arguments
    session = open_session(master=master, memory=memory, tables=Path(tables))
    try:
        for file in sorted(Path(inputs).glob("*/*.parquet")):
            show(session, f"{file.parent.name}.{file.stem}", file)
        for folder in sorted(Path(tables).glob("*.db/*")):
            if any(folder.rglob("*.parquet")):  # a first day has no history
                show(session, f"{folder.parent.stem}.{folder.name}", folder)
        done = dbtRunner().invoke(command)
        if done.exception:
            print(done.exception, file=sys.stderr)  # noqa: T201 - as dbt's own command line does
        return read_code(done)
    finally:
        session.stop()


def open_session(*, master: str, memory: str, tables: Path) -> "SparkSession":
    """Return a session whose moments are UTC, as the warehouse's are, and which no other machine can reach."""
    from pyspark.sql import SparkSession

    options = {
        "spark.driver.memory": memory,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(tables),
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.sql.parquet.inferTimestampNTZ.enabled": "false",  # else two kinds of moments meet
        "spark.sql.sources.partitionOverwriteMode": "dynamic",  # a snapshot takes its own place only
        "spark.sql.shuffle.partitions": "4",  # adaptive execution divides what is large
    }
    if master.startswith("local"):
        options |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder.appName("holdfast").master(master)
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def show(session: "SparkSession", table: str, files: Path) -> None:
    """Make Parquet that is there a table of the catalogue."""
    session.sql(f"create schema if not exists {table.partition('.')[0]}")
    session.sql(f"create table {table} using parquet location '{files}'")
    if files.is_dir():
        session.sql(f"msck repair table {table}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
