"""The published copy: swapped in whole, read by many, and closed to everything outside it."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from orchestration.engines import DuckDb
from orchestration.published import Published, SegmentError
from orchestration.warehouse import Warehouse

CUSTOMERS = """
    select 'c' || i as customer_id, i as score, i * 10.0 as money_at_risk from range(1, {count} + 1) as made(i)
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))


@pytest.fixture
def published(warehouse: Warehouse, tmp_path: Path) -> Published:
    path = tmp_path / "published" / "instance.duckdb"
    warehouse.publish(path, {"customers": CUSTOMERS.format(count=5)})
    return Published(path=path)


def test_a_condition_counts_and_lists_the_most_money_at_risk_first(published: Published) -> None:
    found = published.segment("score >= 3 or customer_id = 'c1'", limit=2)
    assert (found.count, found.money_at_risk) == (4, 130.0)
    assert found.customers["customer_id"] == pa.chunked_array([["c5", "c4"]])


def test_a_reader_keeps_its_copy_while_the_next_one_is_swapped_in(published: Published, warehouse: Warehouse) -> None:
    with published._open() as reader:
        warehouse.publish(published.path, {"customers": CUSTOMERS.format(count=9)})
        assert reader.execute("select count(*) from customers").fetchone() == (5,)
    assert published.segment("true", limit=0).count == 9


def test_a_publication_that_fails_leaves_what_stood(published: Published, warehouse: Warehouse) -> None:
    more = {"customers": CUSTOMERS.format(count=9), "more": "select 1 from no_such_table"}
    with pytest.raises(duckdb.Error, match="no_such_table"):
        warehouse.publish(published.path, more)
    assert published.segment("true", limit=0).count == 5
    warehouse.publish(published.path, {"customers": CUSTOMERS.format(count=9)})
    assert published.segment("true", limit=0).count == 9


def test_an_update_puts_new_tables_next_to_those_that_stay(published: Published, warehouse: Warehouse) -> None:
    with published._open() as reader:
        for figure in (1, 2):
            warehouse.publish(published.path, {"money": f"select {figure} as net"}, is_update=True)
        assert reader.execute("select count(*) from duckdb_tables()").fetchone() == (1,)
    with published._open() as reader:
        assert reader.execute("select net from money").fetchall() == [(2,)]
    assert published.segment("true", limit=0).count == 5


def test_single_rows_are_found_by_an_index(published: Published, warehouse: Warehouse) -> None:
    tables = {"customers": CUSTOMERS.format(count=3000)}
    warehouse.publish(published.path, tables, indexed={"customers": "customer_id"})
    with published._open() as reader:
        indexes = reader.execute("select table_name, expressions from duckdb_indexes()").fetchall()
        assert reader.execute("select score from customers where customer_id = $1", ["c7"]).fetchall() == [(7,)]
    assert indexes == [("customers", "[customer_id]")]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("scores > 3", "`scores > 3` cannot be used: .*The columns are: customer_id, score, money_at_risk"),
        ("true); delete from customers; select (true", "more than one condition"),
        ("score > (select count(*) from read_text('/etc/hostname'))", "cannot be used"),
        ("score >", "cannot be used"),
    ],
)
def test_what_is_no_condition_is_refused_by_name(published: Published, condition: str, words: str) -> None:
    with pytest.raises(SegmentError, match=words):
        published.segment(condition, limit=1)


def test_before_the_first_run_the_mend_is_told(tmp_path: Path) -> None:
    with pytest.raises(SegmentError, match="nothing is published yet"):
        Published(path=tmp_path / "none.duckdb").segment("true", limit=1)
