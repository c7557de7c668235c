"""What a cell means: ids join, words for nothing are null, numbers and moments are read as declared or not at all."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from conftest import Shop

moment = datetime.fromisoformat
HEADER = "order_id,customer_id,ordered_at,amount\n"
COMMA = 'not a number: set `decimal: ","` or `thousands: ","`'


def sell(shop: "Shop", *rows: str, **declared: object) -> None:
    """Write orders that say all but their number."""
    shop.write("sales.csv", HEADER + "".join(f"o{n},{row}\n" for n, row in enumerate(rows)))
    shop.orders.update(declared)


def column(shop: "Shop", name: str, table: str = "orders") -> list[Any]:
    key = "order_id" if table == "orders" else "ticket_id" if table == "tickets" else "customer_id"
    return [value for (value,) in shop.rows(f"select {name} from raw_shop.{table} order by {key}")]


@pytest.mark.parametrize(
    "written", ["\tc1", "c1\u00a0", "\u200bc1", " c1 ", "c\ufeff1", "\u3000c1", '"c1\r"', "\u202fc1\u2060"]
)
def test_an_id_loses_what_nobody_sees_and_joins(shop: "Shop", written: str) -> None:
    sell(shop, f"{written},2024-01-02,1")
    report = shop.land("orders")
    assert (column(shop, "customer_id"), report.repairs) == (["c1"], {"customer_id: blanks": 1})


@pytest.mark.parametrize("word", ["NULL", "\\N", "None", "nan", "N/A", "-", "#N/A", "<null>", " NaN ", "NaT"])
def test_a_word_for_nothing_is_no_customer_and_no_amount(shop: "Shop", word: str) -> None:
    sell(shop, f"{word},2024-01-02,1", f"c1,2024-01-02,{word}")
    assert shop.land("orders").reasons == {"customer_id: missing": 1}
    assert column(shop, "amount") == [None]


def test_a_cast_in_the_mapping_takes_a_word_for_nothing_as_nothing(shop: "Shop") -> None:
    sell(shop, "c1,2024-01-02,N/A", "c1,2024-01-02,5")
    shop.orders["columns"]["amount"] = "cast(amount as double)"
    assert (shop.land("orders").reasons, column(shop, "amount")) == ({}, [None, 5])


def test_the_words_for_nothing_can_be_extended(shop: "Shop") -> None:
    sell(shop, "guest,2024-01-02,1", "c1,2024-01-02,1", null_words=["guest"])
    assert shop.land("orders").reasons == {"customer_id: missing": 1}


def test_a_word_for_nothing_gives_no_token_that_others_share(shop: "Shop") -> None:
    shop.write("people.csv", "customer_id,phone,city\nc1,N/A,NULL\nc2,N/A,Bern\n")
    shop.customers["columns"]["phone"] = "phone"
    report = shop.land("customers")
    assert shop.rows("select phone, city from raw_shop.customers order by customer_id") == [
        (None, None),
        (None, "Bern"),
    ]
    assert report.repairs == {"city: null_word": 1}


@pytest.mark.parametrize(
    ("declared", "written", "meant"),
    [
        ({"decimal": ","}, ["12,50", "1.234,50", "1.234", "1.234.567", "7", "-0,5"], [12.5, 1234.5, 1234, 1234567, 7]),
        ({"thousands": ","}, ["12.50", '"1,234.50"', '"1,234"', "0.125"], [12.5, 1234.5, 1234, 0.125]),
        ({"decimal": ",", "thousands": " "}, ["1 234,5", "1\u00a0234\u00a0567", "1\u202f234"], [1234.5, 1234567, 1234]),
        ({"decimal": ",", "thousands": "'"}, ["1'234,5"], [1234.5]),
        ({"decimal": "."}, ["1.234", "12.5", "1e3"], [1.234, 12.5, 1000]),
        ({}, ["1.234", "12.5", "1e3"], [1.234, 12.5, 1000]),
    ],
)
@pytest.mark.parametrize("expression", ["amount", "cast(amount as double)"])
def test_a_number_is_read_by_the_signs_that_the_feed_declares(
    shop: "Shop", declared: dict[str, str], written: list[str], meant: list[float], expression: str
) -> None:
    texts = [text if text.startswith('"') or "," not in text else f'"{text}"' for text in written]
    sell(shop, *(f"c1,2024-01-02,{text}" for text in texts), **declared)
    shop.orders["columns"]["amount"] = expression
    assert shop.land("orders").rows_in == len(written)
    assert column(shop, "amount") == meant


@pytest.mark.parametrize("expression", ["amount", "cast(amount as double)"])
@pytest.mark.parametrize("declared", [{"decimal": ","}, {"decimal": ",", "thousands": "'"}])
def test_a_number_whose_signs_stand_out_of_place_is_quarantined(
    shop: "Shop", expression: str, declared: dict[str, str]
) -> None:
    sell(shop, "c1,2024-01-02,12.5", 'c1,2024-01-02,"1,2,3"', "c1,2024-01-02,7", **declared)
    shop.orders["columns"]["amount"] = expression
    reason = "not a number" if expression == "amount" else "unreadable"
    assert shop.land("orders").reasons == {f"amount: {reason}": 2}


@pytest.mark.parametrize("expression", ["amount", "cast(amount as double)"])
def test_undeclared_commas_quarantine_what_they_put_in_doubt_and_name_the_key(shop: "Shop", expression: str) -> None:
    sell(shop, 'c1,2024-01-02,"12,50"', "c1,2024-01-02,1.234", "c1,2024-01-02,99.5", "c1,2024-01-02,12")
    shop.orders["columns"]["amount"] = expression
    assert (shop.land("orders").reasons, column(shop, "amount")) == ({f"amount: {COMMA}": 2}, [99.5, 12])
    raw = shop.rows("select row_key, raw ->> 'amount' from quarantine.rows order by 1")
    assert raw == [("o0", "99,99"), ("o1", "1.234")]


def test_a_sum_of_numbers_in_doubt_is_quarantined_too(shop: "Shop") -> None:
    shop.write("sales.csv", 'order_id,customer_id,ordered_at,amount\no1,c1,2024-01-02,"1,5"\no2,c1,2024-01-02,1.234\n')
    shop.append("sales.csv", "o3,c1,2024-01-02,8\n")
    columns = {"order_id": "order_id", "customer_id": "min(customer_id)", "ordered_at": "min(ordered_at)"}
    shop.orders.update(group_by="order_id", columns={**columns, "amount": "sum(cast(amount as double))"})
    assert (shop.land("orders").reasons, column(shop, "order_id")) == ({f"amount: {COMMA}": 2}, ["o3"])


def bring_parquet(shop: "Shop", **columns: pa.Array) -> None:
    rows = len(next(iter(columns.values())))
    day = pa.array([moment("2024-01-02")] * rows, pa.timestamp("us"))
    named = {"order_id": pa.array([f"o{n}" for n in range(rows)]), "ordered_at": day}
    pq.write_table(pa.table({**named, **columns, "amount": pa.array([1.0] * rows)}), shop.folder / "sales.parquet")
    shop.document["sources"]["shop"]["files"]["sales"] = "sales.parquet"


def test_whole_ids_kept_as_floating_point_numbers_join_and_lost_digits_are_refused(shop: "Shop") -> None:
    ids = [41.0, None, 8999999999999999.0, 9007199254740994.0, float("nan")]
    bring_parquet(shop, customer_id=pa.array(ids, pa.float64()))
    report = shop.land("orders")
    assert column(shop, "customer_id") == ["41", "8999999999999999"]
    assert report.reasons == {
        "customer_id: more digits than a floating-point number holds: have it exported as text": 1,
        "customer_id: missing": 2,
    }


@pytest.mark.parametrize(
    ("written", "meant", "bad"),
    [
        (["41.0", "42.0"], ["41", "42"], 0),
        (["41.0", "c7"], ["41.0", "c7"], 0),
        (["41.0", "9007199254740994.0"], ["41"], 1),
        (["1.23457E+12", "7"], ["7"], 1),
        (["1.234567890123E+12", "7"], ["1234567890123", "7"], 0),
        (["1E5", "2e7"], ["1E5", "2e7"], 0),
    ],
)
def test_ids_that_a_spreadsheet_made_numbers_of_join_or_are_refused(
    shop: "Shop", written: list[str], meant: list[str], bad: int
) -> None:
    sell(shop, *(f"{text},2024-01-02,1" for text in written))
    report = shop.land("orders")
    assert (column(shop, "customer_id"), report.rows_quarantined) == (meant, bad)


def test_a_parquet_column_of_the_null_type_is_empty_whatever_the_other_files_hold(shop: "Shop") -> None:
    people = shop.folder / "people-1.parquet", shop.folder / "people-2.parquet"
    empty, city = pa.array([None, None], pa.null()), pa.array(["Bern"])
    pq.write_table(pa.table({"customer_id": pa.array(["c1", "c2"]), "city": empty, "since": empty}), people[0])
    pq.write_table(pa.table({"customer_id": pa.array(["c3"]), "city": city, "since": empty[:1]}), people[1])
    shop.document["sources"]["shop"]["files"]["people"] = "people-*.parquet"
    shop.customers["columns"]["signed_up_at"] = "since"
    assert shop.land("customers").reasons == {}
    assert shop.rows("select city, signed_up_at from raw_shop.customers order by customer_id") == [
        (None, None),
        (None, None),
        ("Bern", None),
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("03/04/25", "2025-04-03"),
        ("31.12.99", "1999-12-31"),
        ("3-4-2025", "2025-04-03"),
        ("03/04/2025 10:15:00 PM", "2025-04-03 22:15:00"),
        ("03.04.25 12:05 am", "2025-04-03 00:05:00"),
        ("2025-04-03 09:00", "2025-04-03 09:00:00"),
    ],
)
def test_a_day_that_stands_first_is_read_with_short_years_and_half_days(shop: "Shop", written: str, meant: str) -> None:
    sell(shop, f"c1,{written},1", day_first=True)
    shop.land("orders")
    assert column(shop, "ordered_at") == [moment(meant)]


@pytest.mark.parametrize(
    ("form", "written", "meant"),
    [
        ("%m/%d/%Y", "03/04/2025", "2025-03-04"),
        ("%Y%m%d%H", "2025030110", "2025-03-01 10:00:00"),
        ("%d %b %Y", "3 Apr 2025", "2025-04-03"),
    ],
)
def test_moments_are_read_in_the_form_that_the_feed_declares(shop: "Shop", form: str, written: str, meant: str) -> None:
    sell(shop, f"c1,{written},1", "c1,31/31/31,1", date_format=form)
    assert shop.land("orders").reasons == {"ordered_at: not a moment": 1}
    assert column(shop, "ordered_at") == [moment(meant)]


@pytest.mark.parametrize(
    "written",
    [
        *("0003-04-25", "0031-12-24", "1900-01-01", "9999-12-31", "20225-01-01", "infinity", "-infinity", "2025030110"),
        *("03/04/25", "2031-01-01", "1753-01-01 00:00:00", "-62135596800000"),
    ],
)
@pytest.mark.parametrize("expression", ["ordered_at", "cast(ordered_at as timestamp)"])
def test_a_moment_that_nobody_believes_costs_an_order(shop: "Shop", written: str, expression: str) -> None:
    sell(shop, f"c1,{written},1", "c1,2024-01-02,1")
    shop.orders["columns"]["ordered_at"] = expression
    assert (shop.land("orders").rows_quarantined, column(shop, "order_id")) == (1, ["o1"])


@pytest.mark.parametrize("end", ["9999-12-31", "0001-01-01", "1970-01-01", "infinity", "2999-12-31", "NULL", ""])
def test_an_end_that_nobody_believes_has_not_come(shop: "Shop", end: str) -> None:
    shop.write("contracts.csv", f"id,who,start,end_at\ns1,c1,2024-01-02,{end}\ns2,c1,2024-01-02,2027-01-02\n")
    shop.document["sources"]["shop"]["files"]["contracts"] = "contracts.csv"
    names = {"subscription_id": "id", "customer_id": "who", "started_at": "start", "cancelled_at": "end_at"}
    shop.document["tables"]["subscriptions"] = {"source": "shop", "from": "contracts", "columns": names}
    assert shop.land("subscriptions").reasons == {}
    found = shop.rows("select cancelled_at from raw_shop.subscriptions order by subscription_id")
    assert found == [(None,), (moment("2027-01-02"),)]


def test_a_bad_detail_costs_the_detail_and_is_counted(shop: "Shop") -> None:
    shop.write(
        "cases.csv",
        "id,who,opened,answered,stars\nt1,c1,2024-01-02,yesterday,9\nt2,c1,2024-01-02,0001-01-01,five\nt3,c1,2024-01-02,2024-01-03,5\n",
    )
    shop.document["sources"]["shop"]["files"]["cases"] = "cases.csv"
    names = {"ticket_id": "id", "customer_id": "who", "opened_at": "opened", "first_response_at": "answered"}
    feed = {"source": "shop", "from": "cases", "columns": {**names, "satisfaction": "cast(stars as double)"}}
    shop.document["tables"]["tickets"] = feed
    report = shop.land("tickets")
    assert (report.reasons, column(shop, "satisfaction", "tickets")) == ({}, [None, None, 5])
    assert report.repairs == {
        "first_response_at: unreadable_value": 1,
        "first_response_at: impossible_value": 1,
        "satisfaction: impossible_value": 1,
        "satisfaction: unreadable_value": 1,
    }


def test_of_two_states_of_one_moment_the_later_line_stands(shop: "Shop") -> None:
    shop.write(
        "sales.csv", HEADER + "o1,c1,2024-01-02,80\no2,c1,2024-01-02,1\no1,c1,2024-01-02,100\no1,c1,2024-01-02,90\n"
    )
    assert shop.land("orders").reasons == {"order_id: duplicate key": 2}
    assert column(shop, "amount") == [90, 1]


def test_of_two_states_of_a_person_the_later_line_stands_too(shop: "Shop") -> None:
    lines = "".join(f"c{n % 3000},a{n % 50}@example.org,City {n}\n" for n in range(6000))
    shop.write("people.csv", "customer_id,email,city\n" + lines)
    shop.customers["columns"]["email"] = "email"
    shop.land("customers")
    assert shop.rows(
        "select count(*) from raw_shop.customers where city <> 'City ' || (3000 + substr(customer_id, 2)::int)"
    ) == [(0,)]


def test_a_json_field_that_comes_late_or_is_missing_for_a_while_is_null(shop: "Shop") -> None:
    def record(number: int, more: dict[str, Any]) -> str:
        day = {"order_id": f"o{number}", "customer_id": "c1", "ordered_at": "2024-01-02"}
        return json.dumps({**day, **more}) + "\n"

    shop.document["sources"]["shop"]["files"]["sales"] = "log-*.jsonl"
    shop.orders.update(incremental="file")
    shop.orders["columns"] |= {"amount": "cast(cart.paid.net as double)", "store": "cart.store"}
    shop.write("log-1.jsonl", "\ufeff" + record(1, {"cart": {"paid": {"net": 5}, "store": "Bern"}}))
    shop.land("orders")
    later: list[dict[str, Any]] = [{}, {"cart": None}, {"cart": {"store": "Basel"}}, {"cart": {"paid": {}}}]
    for number, more in enumerate(later, start=2):
        shop.write(f"log-{number}.jsonl", record(number, more))
        assert shop.land("orders", batch=f"b{number}").reasons == {}
    assert shop.rows("select amount, store from raw_shop.orders order by order_id") == [
        (5, "Bern"),
        (None, None),
        (None, None),
        (None, "Basel"),
        (None, None),
    ]


def test_a_column_never_reads_the_expression_of_another_one(shop: "Shop") -> None:
    shop.write("sales.csv", "order_id,customer_id,ordered_at,total\no1,c1,2024-01-02,5\n")
    shop.orders["columns"] |= {"amount": "total", "discount": "amount"}
    assert "tables.orders.columns.discount: there is no column `amount`" in shop.refused("orders")
    shop.orders["columns"] |= {"discount": "0", "customer_id": "customerid"}
    assert "no column `customerid`; did you mean `customer_id`?" in shop.refused("orders")
