"""A source that changes its types: what can go on goes on and is reported, the rest stops its own table."""

import json
import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from conftest import Shop


def bring(shop: "Shop", amount: pa.Array) -> None:
    """Write the orders as parquet, with two amounts; a minute passes, for DuckDB caches files by the second."""
    path = shop.folder / "sales.parquet"
    moment = path.stat().st_mtime + 60 if path.exists() else 1.7e9
    columns = {"order_id": ["o1", "o2"], "customer_id": ["c1", "c2"], "ordered_at": ["2024-01-01 10:00:00"] * 2}
    pq.write_table(pa.table({**columns, "amount": amount}), path)
    os.utime(path, (moment, moment))
    shop.document["sources"]["shop"]["files"]["sales"] = "sales.parquet"


@pytest.mark.parametrize(
    ("before", "now", "notice"),
    [
        (pa.array([1, 2], pa.int64()), pa.array([1.5, 2.5]), "column `sales.amount` was bigint and is double now"),
        (pa.array([1.5, 2.5]), pa.array([1, 2], pa.int32()), "column `sales.amount` was double and is integer now"),
    ],
)
def test_a_type_that_can_still_be_read_is_reported_and_loaded(
    shop: "Shop", before: pa.Array, now: pa.Array, notice: str
) -> None:
    bring(shop, before)
    shop.land("orders")
    bring(shop, now)
    report = shop.land("orders", batch="b2")
    assert report.notices == (notice,)
    assert shop.rows("select amount from raw_shop.orders order by 1") == [(float(one),) for one in now.to_pylist()]


def bring_json(shop: "Shop", *amounts: object) -> None:
    """Write the orders as lines of JSON, with two amounts."""
    rows = [
        {"order_id": f"o{n}", "customer_id": "c1", "ordered_at": "2024-01-01 10:00:00", "amount": amount}
        for n, amount in enumerate(amounts)
    ]
    shop.write("sales.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    shop.document["sources"]["shop"]["files"]["sales"] = "sales.jsonl"


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_column_that_was_empty_may_become_text(shop: "Shop", kind: str) -> None:
    if kind == "parquet":
        bring(shop, pa.nulls(2))
    else:
        bring_json(shop, None, None)
    shop.land("orders")
    if kind == "parquet":
        bring(shop, pa.array(["1.5", "2.5"]))
    else:
        bring_json(shop, "1.5", "2.5")
    shop.land("orders", batch="b2")
    assert shop.rows("select amount from raw_shop.orders order by 1") == [(1.5,), (2.5,)]


def test_a_number_that_became_text_stops_its_table(shop: "Shop") -> None:
    bring(shop, pa.array([1, 2], pa.int64()))
    shop.land("orders")
    bring(shop, pa.array(["one", "two"]))
    assert "`sales.amount` was of type BIGINT and is now VARCHAR, so this table is not loaded" in shop.refused("orders")
