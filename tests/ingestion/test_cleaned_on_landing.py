"""What landing repairs, and what it quarantines because it cannot be believed: declared, counted, and nothing lost."""

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Shop

moment = datetime.fromisoformat
HEADER = "order_id,customer_id,ordered_at,amount\n"
REPAIRS = "select batch, column_name, rule, count_rows from ingestion.repairs where table_name = '{}' order by all"


def test_every_way_of_writing_a_moment_is_counted_as_the_repair_it_needed(shop: "Shop") -> None:
    rows = ("2024-07-01 10:00:00", "2024-07-01T10:00:00Z", "2024-07-01 10:00:00+02:00", "1719828000", "1719828000000")
    shop.write("sales.csv", HEADER + "".join(f"o{n},c1,{text},1\n" for n, text in enumerate(rows)))
    report = shop.land("orders")
    assert report.repairs == {"ordered_at: epoch_time": 2, "ordered_at: offset_time": 1}
    assert shop.rows(REPAIRS.format("orders")) == [
        ("b1", "ordered_at", "epoch_time", 2),
        ("b1", "ordered_at", "offset_time", 1),
    ]


def test_repairs_are_those_of_the_rows_that_stand(shop: "Shop") -> None:
    shop.write("sales.csv", HEADER + "o1,c1,1719828000,1\n")
    shop.land("orders")
    shop.write("sales.csv", HEADER + "o1,c1,1719828000,1\no2,c1,1719828001,1\nbad,,1719828002,1\n")
    shop.land("orders", batch="b2")
    assert shop.rows(REPAIRS.format("orders")) == [("b2", "ordered_at", "epoch_time", 2)]


def test_a_day_before_its_month_is_read_where_the_feed_says_so_and_set_aside_elsewhere(shop: "Shop") -> None:
    rows = ("03/04/2024 10:00", "3.4.2024 10:00:00", "31-12-2024", "2024-04-03 10:00")
    shop.write("sales.csv", HEADER + "".join(f"o{n},c1,{text},1\n" for n, text in enumerate(rows)))
    assert shop.land("orders").reasons == {"ordered_at: not a moment: set `day_first: true` or `date_format`": 3}
    shop.orders["day_first"] = True
    report = shop.land("orders", batch="b2")
    assert (report.rows_landed, report.repairs) == (4, {"ordered_at: day_first_time": 3})
    third = moment("2024-04-03 10:00:00")
    assert shop.rows("select ordered_at from raw_shop.orders order by order_id") == [
        (third,),
        (third,),
        (moment("2024-12-31"),),
        (third,),
    ]


def test_an_amount_beyond_the_industrys_bounds_is_quarantined_and_the_companys_own_bounds_go_first(
    shop: "Shop",
) -> None:
    shop.append("sales.csv", "o3,c1,2024-01-05,99999999\no4,c1,2024-01-05,-1\no5,c1,2024-01-05,5000\n")
    assert shop.land("orders").reasons == {
        "amount: above 10000000": 1,
        "amount: below 0 (declare credit notes by `cleaning.returns.negative_amounts`)": 1,
    }
    shop.document["cleaning"] = {"bounds": [{"table": "orders", "column": "amount", "high": 1000}]}
    report = shop.land("orders", batch="b2")
    assert report.reasons == {
        "amount: above 1000": 2,
        "amount: below 0 (declare credit notes by `cleaning.returns.negative_amounts`)": 1,
    }
    assert report.rows_in == report.rows_landed + report.rows_quarantined + report.rows_duplicate == 5


def test_a_bound_of_one_metric_leaves_the_others_alone(shop: "Shop") -> None:
    shop.write("use.csv", "customer_id,day,metric,value\nc1,2024-01-01,data_gb,50\nc1,2024-01-01,balance,50\n")
    shop.document["sources"]["shop"]["files"]["use"] = "use.csv"
    columns = {"customer_id": "customer_id", "used_at": "day", "metric": "metric", "value": "value"}
    shop.document["tables"]["usage"] = {"source": "shop", "from": "use", "columns": columns}
    bound = {"table": "usage", "column": "value", "metric": "data_gb", "high": 40}
    shop.document["cleaning"] = {"bounds": [bound]}
    assert shop.land("usage").reasons == {"value: above 40 for data_gb": 1}
    assert shop.rows("select metric from raw_shop.usage") == [("balance",)]


@pytest.mark.parametrize("born", ["1875-01-01", "2030-01-01"])
def test_an_impossible_birth_is_emptied_and_counted_and_its_row_stays(shop: "Shop", born: str) -> None:
    shop.write("people.csv", f"customer_id,email,city,born\nc1,,Bern,{born}\nc2,,Basel,1990-05-05\n")
    shop.customers["columns"]["birth_date"] = "born"
    report = shop.land("customers")
    assert (report.rows_landed, report.repairs) == (2, {"birth_date: impossible_value": 1})
    found = shop.rows("select birth_date is null, age_band from raw_shop.customers order by customer_id")
    assert found == [(True, None), (False, "25-34")]
