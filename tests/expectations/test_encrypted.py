"""A gate judges an encrypted warehouse as one in clear."""

from pathlib import Path

from expectations.gate import Suite, expect_none, expect_rows, run_gate
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

KEY = "q7Jw2mZx0aVf9KtB3sLr8YdH"


def test_an_encrypted_warehouse_is_judged_and_its_offenders_are_shown(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb", key=KEY))
    with warehouse.connect() as connection:
        connection.execute("create schema raw; create table raw.orders as select range as order_id from range(5)")
    none = expect_none("is_low", "select order_id from {batch} where order_id > 3", says="orders are low")
    suite = Suite(seam="sources", table="raw.orders", expectations=[expect_rows(), none])
    profile = Suite(
        seam="sources", table="raw.orders", expectations=[expect_rows(high=1)],
        profile="select count(*) as rows from raw.orders",
    )  # fmt: skip
    found = run_gate([suite, profile], database=warehouse.engine.database, docs=tmp_path / "gates").findings
    assert [(each.expectation, each.passed, each.count_offenders) for each in found] == [
        ("expect_table_row_count_to_be_between", True, 0), ("is_low", False, 1),
        ("expect_table_row_count_to_be_between", True, 0),
    ]  # fmt: skip
