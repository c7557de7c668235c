"""A step of a run whose models Spark computes: what comes back to the warehouse, and what when something breaks."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pytest

from orchestration.dbt import NodeResult
from orchestration.engines import DuckDb, EngineError, check_models_on, choose_engine
from orchestration.settings import Settings, read_settings
from orchestration.spark import build, models
from orchestration.spark.build import Built, SparkError, require_spark
from orchestration.spark.exchange import export_days, take_over
from orchestration.spark.job import SCORED, Job, SparkFolder
from orchestration.spark.models import SparkModels
from orchestration.spark.scoring import score_on_spark
from orchestration.spark.worker import describe_tables
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUN = {"HOLDFAST_AS_OF": "2026-03-02", "HOLDFAST_SNAPSHOTS": "2026-03-02"}
COLUMNS = {"as_of": "date", "customer_id": "string", "seen_at": "timestamp", "count_orders": "int"}


def describe(folder: str, name: str, *parents: str, kind: str = "table", **config: str | bool) -> dict[str, Any]:
    """Return a model of a manifest, in whose contract orders are counted by bigints."""
    types = {"as_of": "date", "customer_id": "varchar", "seen_at": "timestamp", "count_orders": "bigint"}
    return {
        "unique_id": f"model.holdfast.{name}", "resource_type": "model", "schema": folder, "name": name,
        "path": f"{folder}/{name}.sql", "fqn": ["holdfast", folder, name], "depends_on": {"nodes": [*parents]},
        "package_name": "holdfast", "original_file_path": f"models/{folder}/{name}.sql",
        "columns": {key: {"data_type": value} for key, value in types.items()},
        "config": {"materialized": kind, "contract": {"enforced": folder != "intermediate"}, **config},
    }  # fmt: skip


NODES = {
    node["unique_id"]: node
    for node in (
        describe("staging", "stg_orders", "source.holdfast.orders", kind="view"),
        describe("intermediate", "int_shown", "model.holdfast.stg_orders", kind="view"),
        describe("customer_360", "customers", "model.holdfast.int_shown"),
        describe("customer_360", "history", "model.holdfast.customers", incremental_strategy="delete+insert"),
        describe("training", "labelled", "model.holdfast.customers", kind="view"),
    )
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A warehouse with landed orders, the customers of an earlier build, and a history of two days."""
    opened = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    with opened.connect() as connection:
        for schema in ("raw_shop", "customer_360"):
            connection.execute(f"create schema {schema}")
        connection.execute("create table raw_shop.orders as select 'o1' as order_id")
        connection.execute("create table customer_360.customers as select 'former' as customer_id")
        days = "select unnest([date '2026-03-01', date '2026-03-02']) as as_of, 'former' as customer_id"
        connection.execute(f"create table customer_360.history as {days}, timestamp '2026-01-01' as seen_at")
    return opened


def write(folder: SparkFolder, table: str, rows: str = "range(2)") -> None:
    """Write a table as Spark does: moments of UTC, small integers, and a day that is a folder."""
    values = "date '2026-03-02' as as_of, 'new' as customer_id, timestamptz '2026-02-01 08:00:00+00' as seen_at"
    target = folder.find(table)
    target.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select {values}, 3::int as count_orders from {rows}) "
            f"to '{target}' (format parquet, partition_by (as_of), filename_pattern 'part-{{i}}', overwrite_or_ignore)"
        )


def read(warehouse: Warehouse, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table in order."""
    with warehouse.connect() as connection:
        return connection.execute(f"from {table} order by all").fetchall()


def test_a_table_of_spark_takes_its_place_in_the_types_that_its_contract_declares(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = SparkFolder(path=tmp_path / "spark")
    for table in ("customer_360.customers", "intermediate.facts"):
        write(folder, table)
    taken = [NODES["model.holdfast.customers"], describe("intermediate", "facts")]
    take_over(warehouse, folder, taken, {"customer_360.customers": COLUMNS, "intermediate.facts": COLUMNS})
    with warehouse.connect() as connection:
        kinds = [
            [row[1] for row in connection.execute(f"describe {table}").fetchall()]
            for table in ("customer_360.customers", "intermediate.facts")
        ]
        moment = connection.execute("select distinct cast(seen_at as varchar) from customer_360.customers").fetchall()
    assert kinds == [["DATE", "VARCHAR", "TIMESTAMP", "BIGINT"], ["DATE", "VARCHAR", "TIMESTAMP", "INTEGER"]]
    assert moment == [("2026-02-01 08:00:00",)]


def test_what_a_session_makes_comes_back_as_it_was_there(warehouse: Warehouse, spark_session: "SparkSession") -> None:
    folder = SparkFolder(path=Path(str(spark_session.conf.get("spark.sql.warehouse.dir")).removeprefix("file:")).parent)
    values = (
        "date '2026-03-02' as as_of, timestamp '2026-02-01 23:30:00' as seen_at, cast(null as string) as said, "
        "true as is_known, cast(1.5 as decimal(28, 4)) as amount, 0.1D as share, 7 as count_days, 8L as count_orders"
    )
    spark_session.sql("create schema intermediate")
    for name, condition in {"facts": "true", "nothing": "false"}.items():
        table = f"create table intermediate.{name} using parquet partitioned by (as_of)"
        spark_session.sql(f"{table} as select {values} where {condition}")
    columns = describe_tables(spark_session, folder)
    take_over(warehouse, folder, [describe("intermediate", "facts"), describe("intermediate", "nothing")], columns)
    assert read(warehouse, "intermediate.facts") == [
        (date(2026, 3, 2), datetime(2026, 2, 1, 23, 30), None, True, Decimal("1.5000"), 0.1, 7, 8)  # noqa: DTZ001 - UTC
    ]
    with warehouse.connect() as connection:
        kinds = [connection.table(f"intermediate.{name}").types for name in ("facts", "nothing")]
    assert kinds[0] == kinds[1]
    assert [str(kind) for kind in kinds[0]][2:5] == ["VARCHAR", "BOOLEAN", "DECIMAL(28,4)"]


def test_of_a_history_the_days_that_spark_made_take_the_place_of_their_former_selves(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder, table = SparkFolder(path=tmp_path / "spark"), "customer_360.history"
    write(folder, table, rows="range(1)")
    earlier = folder.find(table) / "as_of=2026-03-01"
    earlier.mkdir()
    (earlier / "kept-0.parquet").write_text("what was handed over is not read again")
    take_over(warehouse, folder, [NODES["model.holdfast.history"]], {table: COLUMNS})
    found = [(row[0], row[1], row[3]) for row in read(warehouse, table)]
    assert found == [(date(2026, 3, 1), "former", None), (date(2026, 3, 2), "new", 3)]


@pytest.mark.parametrize(("renewed", "days"), [([], [1, 2]), (["2026-03-01"], [2])])
def test_of_a_table_of_another_release_the_snapshots_that_are_needed_are_not_handed_over(
    warehouse: Warehouse, tmp_path: Path, renewed: list[str], days: list[int]
) -> None:
    folder, history = SparkFolder(path=tmp_path / "spark"), NODES["model.holdfast.history"]
    export_days(warehouse, history, folder, condition="as_of is not null", snapshots=renewed)
    files = folder.find("customer_360.history") / "*" / "*.parquet"
    with duckdb.connect() as connection:
        handed = connection.execute(f"select day(as_of), count_orders from '{files}' order by all").fetchall()
    assert handed == [(day, None) for day in days]


def test_snapshots_have_the_columns_that_their_model_declares_and_no_others(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder, table = SparkFolder(path=tmp_path / "spark"), "customer_360.history"
    write(folder, table, rows="range(1)")
    with warehouse.connect() as connection:
        connection.execute(f"alter table {table} add column of_an_earlier_release integer")
    snapshots = describe("customer_360", "history", kind="by_snapshot", keeps_snapshots=True)
    take_over(warehouse, folder, [snapshots], {table: COLUMNS})
    with warehouse.connect() as connection:
        columns = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    assert columns == list(COLUMNS)


def test_a_table_without_a_row_is_there_with_its_columns(warehouse: Warehouse, tmp_path: Path) -> None:
    take_over(
        warehouse,
        SparkFolder(path=tmp_path / "spark"),
        [NODES["model.holdfast.customers"]],
        {"customer_360.customers": COLUMNS},
    )
    assert read(warehouse, "customer_360.customers") == []


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The warehouse's dbt: notes what it is asked to build, and says that it did."""

    target: Path
    asked: list[str] = field(default_factory=list)
    inputs: str = "the project"
    manifest: Mapping[str, Any] = field(default_factory=lambda: {"nodes": NODES, "sources": {}})

    def build(self, nodes: Sequence[str], *, run: Mapping[str, str]) -> list[NodeResult]:
        assert run == RUN
        self.asked.extend(nodes)
        return [result(node.rpartition(".")[2]) for node in nodes]


def result(name: str, status: str = "success") -> NodeResult:
    """Return what became of a model."""
    message = "no such column: x\n\n" + "it " * 200
    return NodeResult(unique_id=f"model.holdfast.{name}", status=status, message=message, failures=None, seconds=0)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What a step needs of a deployment."""

    settings: Settings


@pytest.fixture
def dbt(tmp_path: Path) -> Recorded:
    """The warehouse's dbt."""
    return Recorded(target=tmp_path / "dbt" / "target")


@pytest.fixture
def step(warehouse: Warehouse, dbt: Recorded, tmp_path: Path) -> Callable[[], SparkModels]:
    """Return what makes a step of a run of that warehouse."""
    deployed: Any = Deployed(settings=read_settings({"HOLDFAST_HOME": str(tmp_path)}))
    return lambda: SparkModels(deployment=deployed, warehouse=warehouse, dbt=cast("Any", dbt), run=RUN)


def answer(monkeypatch: pytest.MonkeyPatch, *, broken: Sequence[str] = ()) -> list[str]:
    """Have Spark make every table that it is asked for, but those that break; return what it is asked for."""
    asked: list[str] = []

    def call(_deployment: object, folder: SparkFolder, nodes: Sequence[str], **_given: object) -> Built:
        asked[:] = [node.rpartition(".")[2] for node in nodes]
        tables = [f"{NODES[f'model.holdfast.{name}']['schema']}.{name}" for name in asked]
        for table in tables:
            if not table.startswith("intermediate"):  # a view
                write(folder, table)
        for name in asked:
            compiled = (
                folder.path / "dbt/target/compiled/holdfast" / NODES[f"model.holdfast.{name}"]["original_file_path"]
            )
            compiled.parent.mkdir(parents=True, exist_ok=True)
            compiled.write_text(f"select the {name}")
        results = [result(name, "error" if name in broken else "success") for name in asked]
        columns = dict.fromkeys(tables, COLUMNS)
        return Built(folder=folder, nodes=results, counts=[], training=None, columns=columns, seconds={})

    monkeypatch.setattr(models, "require_spark", lambda _: None)
    monkeypatch.setattr(models, "call_spark", call)
    return asked


def test_spark_makes_the_tables_and_the_warehouse_its_views(
    warehouse: Warehouse, step: Callable[[], SparkModels], dbt: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, selected = answer(monkeypatch), [node for node in NODES.values() if node["name"] != "history"]
    results = step().build(selected)
    assert asked == ["stg_orders", "customers", "int_shown"]
    assert [name.rpartition(".")[2] for name in dbt.asked] == ["stg_orders", "int_shown", "labelled"]
    assert [each.unique_id for each in results] == [node["unique_id"] for node in selected]  # parents first
    assert {row[1] for row in read(warehouse, "customer_360.customers")} == {"new"}
    shown = [file.read_text() for file in dbt.target.rglob("*.sql")]
    assert shown == ["select the customers"]  # its columns are traced from there


def test_what_breaks_on_spark_leaves_the_warehouse_as_it_was_and_is_not_gone_on_with(
    warehouse: Warehouse, step: Callable[[], SparkModels], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [NODES["model.holdfast.customers"], NODES["model.holdfast.history"]]
    answer(monkeypatch)
    step().build(nodes)
    with warehouse.connect() as connection:
        connection.execute("create or replace table customer_360.customers as select 'former' as customer_id")
    answer(monkeypatch, broken=["history"])
    (broken,) = step().build(nodes)  # and no table is reported as made
    assert (broken.unique_id, broken.status) == ("model.holdfast.history", "error")
    assert re.fullmatch(
        r"no such column: x (it )+\.\.\. \(on Spark; all of it is in .*/spark/dbt/logs\)", broken.message
    )
    assert read(warehouse, "customer_360.customers") == [("former",)]
    asked = answer(monkeypatch)
    step().build(nodes[1:])
    assert "customers" in asked


def test_what_cannot_be_loaded_leaves_every_table_as_it_was(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = SparkFolder(path=tmp_path / "spark")
    write(folder, "customer_360.customers")
    broken = folder.find("customer_360.history") / "as_of=2026-03-02"
    broken.mkdir(parents=True)
    (broken / "part-0.parquet").write_text("cut off")
    nodes = [NODES["model.holdfast.customers"], NODES["model.holdfast.history"]]
    with pytest.raises(duckdb.Error):
        take_over(warehouse, folder, nodes, {f"customer_360.{name}": COLUMNS for name in ("customers", "history")})
    assert read(warehouse, "customer_360.customers") == [("former",)]
    assert {row[1] for row in read(warehouse, "customer_360.history")} == {"former"}


def test_a_step_goes_on_with_the_tables_of_the_one_before_unless_a_row_has_landed_since(
    warehouse: Warehouse, step: Callable[[], SparkModels], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, history = answer(monkeypatch), [NODES["model.holdfast.history"]]
    step().build([NODES["model.holdfast.customers"]])
    step().build(history)
    assert asked == ["history"]  # and not the view behind the customers
    with warehouse.connect() as connection:
        connection.execute("insert into raw_shop.orders values ('o2')")
    step().build(history)
    assert sorted(asked) == ["customers", "history", "int_shown", "stg_orders"]


@pytest.mark.parametrize("ends_well", [True, False])
def test_scores_come_back_as_a_batch_or_not_at_all(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ends_well: bool
) -> None:
    deployed: Any = Deployed(settings=read_settings({"HOLDFAST_HOME": str(tmp_path)}))
    scorer: Any = SimpleNamespace(as_of=date(2026, 3, 2))

    def work(job: Job, **_: object) -> int:
        handed = job.folder.inputs / "features" / "eligible_snapshots.parquet"
        with duckdb.connect() as connection:
            for table in SCORED if ends_well else ():
                job.folder.find(table).mkdir(parents=True)
                rows = f"select customer_id, {job.stages.batch}::bigint as batch from '{handed}'"
                connection.execute(f"copy ({rows}) to '{job.folder.find(table)}/part-0.parquet' (format parquet)")
                job.folder.report.write_text("{}")
        return 0 if ends_well else 1

    with warehouse.connect() as connection:
        connection.execute("create schema features")
        connection.execute(
            "create view features.eligible_snapshots as "
            "select date '2026-03-01' + n as as_of, 'c' || n as customer_id from (values (0), (1)) as days(n)"
        )
    monkeypatch.setattr(build, "require_spark", lambda _: None)
    monkeypatch.setattr(build, "start_worker", work)
    if ends_well:
        warehouse.append(score_on_spark(deployed, warehouse, scorer, batch=7))
        assert [read(warehouse, table) for table in SCORED] == [[("c1", 7)]] * 3
    else:
        with pytest.raises(SparkError, match="Spark scored nobody"):
            score_on_spark(deployed, warehouse, scorer, batch=7)


def test_an_encrypted_instance_is_refused() -> None:
    settings = read_settings({"HOLDFAST_ENCRYPTION_KEY": "0" * 43 + "="})
    with pytest.raises(SparkError, match="Parquet in clear"):
        require_spark(settings)


def test_what_cannot_compute_models_is_named_with_what_can() -> None:
    with pytest.raises(
        EngineError, match=r"HOLDFAST_MODELS_ON is `sprak`.*Choose `warehouse`, the default, or `spark`"
    ):
        check_models_on(read_settings({"HOLDFAST_MODELS_ON": "sprak"}))
    with pytest.raises(EngineError, match="computed on Spark by HOLDFAST_MODELS_ON=spark"):
        choose_engine(read_settings({}), "spark")
