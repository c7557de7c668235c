"""Around the build on Spark: what it is handed, how its tables are compared, and how what is missing is named."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.engines import DuckDb
from orchestration.settings import read_settings
from orchestration.spark import build
from orchestration.spark.build import SparkError, require_spark
from orchestration.spark.exchange import export_days, export_inputs
from orchestration.spark.job import SparkFolder
from orchestration.spark.parity import Compared, compare_public, compare_table, list_public
from orchestration.spark.publish import publish
from orchestration.warehouse import Warehouse

DAY = date(2026, 3, 1)
MANIFEST = {
    "sources": {"scores": {"schema": "scores", "identifier": "churn_scores"}},
    "nodes": {
        name: {
            "resource_type": "model",
            "schema": "features",
            "name": name,
            "config": {"materialized": kind},
            "depends_on": {"nodes": ["scores"]},
        }
        for name, kind in {"days": "table", "shown": "view"}.items()
    },
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A warehouse with a landed table, a source, a model of two days and a history."""
    opened = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    with opened.connect() as connection:
        for schema in ("raw_shop", "scores", "features", "customer_360", "monitoring"):
            connection.execute(f"create schema {schema}")
        for table in ("raw_shop.orders", "scores.churn_scores", "monitoring.drift"):
            connection.execute(f"create table {table} as select 1 as x")
        days = "select date '2026-02-01' as as_of, 'a' as customer_id, 0.1 as value"
        connection.execute(f"create table customer_360.customer_history as {days} union all by name {_later(days)}")
        connection.execute(f"create table features.days as {_later(days).replace('0.1', '0.1::double')}")
    return opened


def _later(query: str) -> str:
    return query.replace("2026-02-01", str(DAY))


def write_built(warehouse: Warehouse, folder: SparkFolder, value: str) -> None:
    """Write the model as Spark does: a folder for each day."""
    files = folder.find("features.days")
    files.parent.mkdir(parents=True)
    query = f"select as_of, customer_id, {value} as value from features.days"
    with warehouse.connect() as connection:
        connection.execute(f"copy ({query}) to '{files}' (format parquet, partition_by (as_of))")


def test_landed_tables_and_sources_are_handed_over_and_the_history_before_the_day(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = SparkFolder(path=tmp_path / "spark")
    export_inputs(warehouse, MANIFEST, ["days"], folder)
    history = {
        "schema": "customer_360",
        "name": "customer_history",
        "config": {"contract": {"enforced": True}},
        "columns": {name: {"data_type": "varchar"} for name in ("as_of", "customer_id", "value")},
    }
    export_days(warehouse, history, folder, condition=f"as_of < date '{DAY}'")
    handed = sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*.parquet"))
    assert handed[:2] == ["inputs/raw_shop/orders.parquet", "inputs/scores/churn_scores.parquet"]
    assert [path.split("/")[-2] for path in handed[2:]] == ["as_of=2026-02-01"]


@pytest.mark.parametrize(("value", "differing"), [("value * (1 + 1e-12)", 0), ("value * (1 + 1e-7)", 1), ("null", 1)])
def test_doubles_may_differ_by_how_they_were_added_and_by_no_more(
    warehouse: Warehouse, tmp_path: Path, value: str, differing: int
) -> None:
    folder = SparkFolder(path=tmp_path / "spark")
    write_built(warehouse, folder, value)
    found = compare_public(warehouse, folder, MANIFEST)
    assert found == [Compared(table="features.days", rows=1, cells=3, differing=differing)]


def test_a_table_that_spark_left_out_differs_in_every_cell(warehouse: Warehouse, tmp_path: Path) -> None:
    found = compare_public(warehouse, SparkFolder(path=tmp_path / "spark"), MANIFEST)
    assert found == [Compared(table="features.days", rows=1, cells=3, differing=3)]


def test_the_published_file_holds_what_spark_made_and_takes_the_place_of_the_one_before(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = SparkFolder(path=tmp_path / "spark")
    write_built(warehouse, folder, "value")
    (folder.path / "holdfast.duckdb").write_text("the file of an earlier call")
    file = publish(folder, list_public(folder, MANIFEST))
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("select as_of, customer_id, value from features.days").fetchall()
    assert found == [(DAY, "a", 0.1)]
    assert sorted(path.name for path in folder.path.iterdir()) == ["holdfast.duckdb", "tables"]


def test_the_latest_batch_of_scores_is_compared(warehouse: Warehouse, tmp_path: Path) -> None:
    folder, table = SparkFolder(path=tmp_path / "spark"), "scores.churn_scores"
    day = f"select date '{DAY}' as as_of, 'a' as customer_id"
    with warehouse.connect() as connection:
        batches = " union all ".join(f"{day}, {batch / 10} as probability, {batch} as batch" for batch in (1, 2))
        connection.execute(f"create or replace table {table} as {batches}")
        folder.find(table).mkdir(parents=True)
        connection.execute(f"copy (from {table} where batch = 2) to '{folder.find(table) / 'part.parquet'}'")
    assert list_public(folder, {"nodes": {}}) == [table]
    assert compare_table(warehouse, folder, table).differing == 0


def test_the_extra_and_java_are_named_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_is_installed", lambda name: name != "pyspark")
    with pytest.raises(SparkError, match=r"the package pyspark, .*pip install 'holdfast\[spark\]'"):
        require_spark(read_settings({}))
    monkeypatch.setattr(build, "_is_installed", lambda _: True)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SparkError, match="openjdk-17-jre-headless"):
        require_spark(read_settings({}))
