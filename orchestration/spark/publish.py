"""The file that people and programs read, exported from what Spark made."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.spark.job import SparkFolder


def publish(folder: SparkFolder, tables: Sequence[str]) -> Path:
    """Write `tables` (`schema.name`) as one DuckDB file next to them, which takes its place whole; return the file."""
    file = folder.path / "holdfast.duckdb"
    with TemporaryDirectory(dir=folder.path, prefix=".published-") as aside:
        fresh = Path(aside) / file.name
        with duckdb.connect(str(fresh)) as connection:
            connection.execute("set timezone = 'UTC'")
            for table in (each for each in tables if folder.holds(each)):
                connection.execute(f"create schema if not exists {table.partition('.')[0]}")
                files = f"read_parquet('{folder.find(table)}/**/*.parquet', hive_partitioning = true)"
                connection.execute(f"create table {table} as from {files}")
        os.replace(fresh, file)  # noqa: PTH105 - atomic
    return file
