"""`holdfast check`: what it tells before anything is loaded."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from company.contract import TABLES
from ingestion.check import CheckReport, TableCheck, check_company
from ingestion.known import KnownCustomers
from ingestion.profiling import Profile
from ingestion.readers import load_company

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
if TYPE_CHECKING:
    from conftest import Shop


def test_a_sound_company_is_shown_with_counts_samples_and_what_is_left_empty(shop: "Shop") -> None:
    shop.append("sales.csv", "o3,,2024-02-01,1\n")
    report = check_company(shop.company(), secrets={}, now=NOW)
    assert report.is_sound
    assert report.tables[0] == TableCheck(
        table="customers",
        source="shop",
        rows_in=3,
        rows_good=3,
        rows_duplicate=0,
        reasons={},
        unmapped=tuple(name for name in TABLES["customers"].names if name not in {"customer_id", "city"}),
        sample=(
            {"customer_id": "c1", "city": "Bern"},
            {"customer_id": "c2", "city": "Basel"},
            {"customer_id": "c3", "city": None},
        ),
        profile=Profile(null_shares={"city": pytest.approx(1 / 3)}),
    )
    orders = report.tables[1]
    assert (orders.rows_good, orders.reasons, orders.known) == (
        2,
        {"customer_id: missing": 1},
        KnownCustomers(rows=2, unknown=0),
    )
    assert (orders.profile.first_day, orders.profile.last_day) == (date(2024, 1, 2), date(2024, 1, 3))


def test_columns_whose_values_look_personal_are_named_and_cities_are_not(shop: "Shop") -> None:
    firsts = ("Ann", "Béla", "Cyd", "Dörte", "Eve", "Finn", "Gro", "Hal")
    lasts = ("Lee", "O'Hara", "Ray-Ito", "Orr", "Fox", "J. Vos", "Kim", "Lux")
    names = [f"{first} {last}" for first in firsts for last in lasts]
    people = [f"1380013{place:04d},{name},New York,me{place}@x.org" for place, name in enumerate(names)]
    shop.write("people.csv", "\n".join(["customer_id,who,city,contact", *people]) + "\n")
    shop.customers["columns"] |= {"preference": "contact", "level": "who", "city": "city"}
    shop.orders["columns"]["customer_id"] = "'13800130000'"
    warnings = check_company(shop.company(), secrets={}, now=NOW).warnings
    assert [warning.split(": ", 1)[1].split(", and")[0] for warning in warnings] == [
        "100% of the values of `customer_id` look like telephone numbers",
        "100% of the values of `preference` look like e-mail addresses",
        "100% of the values of `level` look like names of people",
    ]


def test_what_would_close_the_gate_is_told_with_its_figures_and_its_limit(shop: "Shop") -> None:
    shop.write(
        "sales.csv",
        "order_id,customer_id,ordered_at,amount\n" + "".join(f"o{n},X{n},2024-01-0{n},1\n" for n in (1, 2, 9)),
    )
    shop.append("sales.csv", "o3,c1,never,1\n")
    report = check_company(shop.company(), secrets={}, now=NOW)
    dirty, unknown = report.closed
    assert "tables.orders: 25.0% of the rows would be quarantined, and at most 5.0% may be" in dirty
    assert "most often ordered_at: not a moment (1 rows)" in dirty
    assert "tables.orders.columns.customer_id: 3 of 3 rows (100.0%) name a customer whom no list" in unknown
    assert (report.faults, report.tables[1].profile.missing_days) == ((), 6)
    shop.document["policy"] = {"gates": {"maximum_quarantine_share": 0.3, "maximum_unknown_share": 1.0}}
    assert check_company(shop.company(), secrets={}, now=NOW).closed == ()


def test_days_are_those_of_the_company(shop: "Shop") -> None:
    shop.write("sales.csv", "order_id,customer_id,ordered_at,amount\no1,c1,2024-01-02 23:30:00,1\n")
    assert check_company(shop.company(), secrets={}, now=NOW).tables[1].profile.first_day == date(2024, 1, 3)


def test_rows_of_the_future_and_a_feed_that_ended_close_the_gate_by_the_day_of_the_run(shop: "Shop") -> None:
    shop.orders["fresh_within_days"] = 40
    rows = "".join(f"o{n},c1,2024-01-{n:02d} 10:00:00,1\n" for n in range(1, 20)) + "o20,c1,2024-03-04 10:00:00,1\n"
    shop.write("sales.csv", "order_id,customer_id,ordered_at,amount\n" + rows)
    (future,) = check_company(shop.company(), secrets={}, now=NOW).closed
    assert "tables.orders.columns.ordered_at: 5.0% of the rows lie in the future, and at most 0.1% may" in future
    shop.write("sales.csv", "order_id,customer_id,ordered_at,amount\n" + rows.rpartition("o20")[0])
    (old,) = check_company(shop.company(), secrets={}, now=NOW).closed
    assert "tables.orders.fresh_within_days: the newest row is of 2024-01-19, and may not" in old
    assert check_company(shop.company(), secrets={}, now=NOW, as_of=date(2024, 2, 20)).closed == ()


def test_rows_of_a_feed_that_is_not_read_whole_are_compared_with_the_customers(
    shop: "Shop", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.readers.files._BUNDLE_BYTES", 1)
    shop.document["sources"]["shop"]["files"]["sales"] = "sales*.csv"
    shop.orders["incremental"] = "file"
    shop.write("sales1.csv", "order_id,customer_id,ordered_at,amount\no3,nobody,2024-01-04,1\n")
    check = check_company(shop.company(), secrets={}, now=NOW).tables[1]
    assert (check.is_partial, check.rows_in, check.known) == (True, 2, KnownCustomers(rows=2, unknown=0))
    (shop.folder / "sales1.csv").unlink()
    assert not check_company(shop.company(), secrets={}, now=NOW).tables[1].is_partial


def test_a_mapped_column_of_which_no_value_can_be_taken_is_a_warning(shop: "Shop") -> None:
    shop.write("people.csv", "customer_id,city,since\nc1,Bern,24.06.2023\nc2,Basel,01.12.2023\n")
    shop.customers["columns"]["signed_up_at"] = "since"
    report = check_company(shop.company(), secrets={}, now=NOW)
    (warning,) = report.warnings
    assert "tables.customers.columns.signed_up_at: none of its 2 values can be taken" in warning
    assert (report.faults, report.closed) == ((), ())
    shop.customers["date_format"] = "%d.%m.%Y"
    assert check_company(shop.company(), secrets={}, now=NOW).warnings == ()


def test_days_without_rows_are_no_matter_of_customers(shop: "Shop") -> None:
    shop.write("people.csv", "customer_id,city,since\nc1,Bern,2023-01-01\nc2,Basel,2024-01-01\n")
    shop.customers["columns"]["signed_up_at"] = "since"
    profile = check_company(shop.company(), secrets={}, now=NOW).tables[0].profile
    assert (profile.first_day, profile.missing_days) == (date(2023, 1, 1), None)


def test_samples_show_personal_values_as_tokens_only(shop: "Shop") -> None:
    shop.customers["columns"]["email"] = "email"
    report = check_company(shop.company(), secrets={"HOLDFAST_TOKEN_KEY": "0123456789abcdef"}, now=NOW)
    assert sorted(str(row["email"])[:4] for row in report.tables[0].sample) == ["None", "tok_", "tok_"]


def test_every_feed_that_cannot_be_read_is_told_and_the_others_are_shown(shop: "Shop") -> None:
    shop.document["sources"]["shop"]["files"]["sales"] = "sale.csv"
    shop.document["sources"]["crm"] = {"reader": "sql", "connection": "CRM_URL"}
    shop.document["tables"]["products"] = {"source": "crm", "from": "products", "columns": {"product_id": "id"}}
    report = check_company(shop.company(), secrets={}, now=NOW)
    assert [check.table for check in report.tables] == ["customers"]
    assert [fault.split(": ")[0].rsplit(", ", 1)[1] for fault in report.faults] == [
        "sources.shop.files.sales",
        "sources.crm.connection",
    ]


def test_the_example_shop_is_sound() -> None:
    company = load_company(Path("examples/complete_journey/company.yaml"))
    report: CheckReport = check_company(company, secrets={}, now=NOW)
    assert {check.table: (check.rows_good, check.reasons, check.rows_duplicate) for check in report.tables} == {
        "customers": (2469, {}, 0),
        "orders": (155848, {}, 0),
        "order_lines": (1469307, {}, 0),
        "products": (92331, {}, 0),
        "campaigns": (27, {}, 0),
        "touches": (6589, {}, 0),
        "redemptions": (2102, {}, 0),
    }
    assert report.faults == ()
