"""What stands as it was built is found again, and is not once anything that it rests on is another."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from orchestration.builds import FinishedBuild
from orchestration.dbt import Dbt, NodeResult, write_run
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

RESULT = NodeResult(unique_id="model.p.spend", status="success", message="OK", failures=None, seconds=0.5)
MANIFEST = {
    "nodes": {
        "model.p.spend": {
            "resource_type": "model",
            "schema": "features",
            "name": "spend",
            "depends_on": {"nodes": ["model.p.stg_orders"]},
        },
        "model.p.stg_orders": {
            "resource_type": "model",
            "schema": "staging",
            "name": "stg_orders",
            "depends_on": {"nodes": []},
        },
        "model.p.candidates": {
            "resource_type": "model",
            "schema": "decisions",
            "name": "candidates",
            "depends_on": {"nodes": ["source.p.scores"]},
        },
    },
    "sources": {"source.p.scores": {"resource_type": "source", "schema": "scores", "name": "churn_scores"}},
}
TABLES = """
    create schema raw_shop; create table raw_shop.orders as select 1 as number, 2.5 as amount;
    create schema staging; create view staging.stg_orders as select * from raw_shop.orders;
    create schema features; create table features.spend as select 2.5 as spend;
    create schema scores; create table scores.churn_scores as select 0.5 as probability;
    create schema decisions; create view decisions.candidates as select * from scores.churn_scores;
"""


@pytest.fixture
def finished(tmp_path: Path) -> FinishedBuild:
    dbt = Dbt(home=tmp_path, variables={}, environment={})
    dbt.target.mkdir(parents=True)
    (dbt.target / "manifest.json").write_text(json.dumps(MANIFEST))
    (dbt.target / "parsed_from.json").write_text(dbt.inputs)
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    with warehouse.connect() as connection:
        connection.execute(TABLES)
    made = FinishedBuild(
        step="features_models",
        warehouse=warehouse,
        dbt=dbt,
        run=write_run(date(2024, 10, 1), []),
        nodes=["model.p.spend", "model.p.candidates"],
        later=["model.p.candidates"],
    )
    assert made.find() is None
    made.remember([RESULT])
    return made


def test_what_stands_is_found_with_its_results(finished: FinishedBuild) -> None:
    assert finished.find() == [RESULT]


@pytest.mark.parametrize(
    "change",
    [
        "insert into raw_shop.orders values (2, 1.0)",
        "update raw_shop.orders set amount = 2.6",
        "update features.spend set spend = 3",
        "drop table features.spend",
        "create or replace view staging.stg_orders as select number, 0 as amount from raw_shop.orders",
    ],
)
def test_another_row_table_or_view_is_built_again(finished: FinishedBuild, change: str) -> None:
    with finished.warehouse.connect() as connection:
        connection.execute(change)
    assert finished.find() is None


def test_another_day_variable_or_selection_is_built_again(finished: FinishedBuild) -> None:
    assert replace(finished, run=write_run(date(2024, 10, 2), [])).find() is None
    assert replace(finished, nodes=["model.p.spend"], later=[]).find() is None
    changed = replace(finished.dbt, variables={"timezone": "UTC"})
    (changed.target / "parsed_from.json").write_text(changed.inputs)
    assert replace(finished, dbt=changed).find() is None


def test_an_early_view_is_not_rebuilt_for_what_is_written_later_but_its_reader_is(finished: FinishedBuild) -> None:
    with finished.warehouse.connect() as connection:
        connection.execute("insert into scores.churn_scores values (0.7)")
    assert finished.find() == [RESULT]
    reader = replace(finished, step="outcomes_models", later=[])
    reader.remember([RESULT])
    with finished.warehouse.connect() as connection:
        connection.execute("insert into scores.churn_scores values (0.9)")
    assert reader.find() is None
