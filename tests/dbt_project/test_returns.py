"""What customers send back: spend is net of it; neither a credit note nor what it takes back whole is a purchase."""

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.dbt_project.conftest import Build

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF, CHURN = "2025-05-01", {"definition": "inactivity", "active_within_days": 60, "horizon_days": 30, "lead_days": 0}
MODELS = ["+customers", "+int_snapshot_orders", "+int_customer_category_days", "+feed_coverage", "churn_outcomes"]
ORDERS = [  # order, customer, day, amount, status
    ("a1", "whole", "2025-02-10", 77_183.0, "paid"),
    ("a2", "whole", "2025-02-20", -77_183.0, "paid"),
    ("b1", "part", "2025-02-10", 100.0, "paid"),
    ("b2", "part", "2025-03-10", 80.0, "paid"),
    ("b3", "part", "2025-03-20", -30.0, "paid"),
    ("b4", "part", "2025-04-02", -90.0, "paid"),
    ("c1", "status", "2025-02-10", 50.0, "paid"),
    ("c2", "status", "2025-03-10", 60.0, "returned"),
    ("d1", "note", "2025-02-10", 40.0, "paid"),
    ("d2", "note", "2025-03-15", -10.0, "paid"),
    ("e1", "twice", "2025-02-10", 25.0, "paid"),
    ("e2", "twice", "2025-02-20", 25.0, "paid"),
    ("e3", "twice", "2025-02-25", -25.0, "paid"),
    ("f1", "strange", "2025-02-10", 20.0, "failed"),
    ("f2", "strange", "2025-02-11", -20.0, "paid"),
    *((f"x{day:%m%d}", "daily", f"{day:%F}", 10.0, "paid") for day in pd.date_range("2025-01-01", "2025-04-30")),
]
NAMES = sorted({order[1] for order in ORDERS})


def bring_back(new_warehouse: Build, *strangers: tuple, **returns: bool) -> "Warehouse":
    columns = ["order_id", "customer_id", "ordered_at", "amount", "status"]
    orders = pd.DataFrame([*ORDERS, *strangers], columns=columns)
    orders["ordered_at"] = pd.to_datetime(orders["ordered_at"]) + pd.Timedelta(hours=9)
    lines = orders.drop(columns="status").assign(line_number=1, product_id="p")
    products = pd.DataFrame({"product_id": ["p"], "category": ["c"]})
    tables = {"customers": pd.DataFrame({"customer_id": NAMES}), "orders": orders, "order_lines": lines}
    tables |= {"products": products}
    warehouse = new_warehouse({"raw_shop": tables})
    rows = ", ".join(f"(date '2025-03-01', '{name}')" for name in NAMES)
    warehouse.execute(
        "create schema features",
        f"create table features.customer_features as from (values {rows}) as rows(as_of, customer_id)",
    )
    settings = {"timezone": "UTC", "as_of": AS_OF, "churn": CHURN, "company_cleaning": {"returns": returns}}
    warehouse.dbt("run", "--select", *MODELS, feeds={name: ["raw_shop"] for name in tables}, **settings)
    return warehouse


@pytest.fixture(scope="module")
def declared(new_warehouse: Build) -> "Warehouse":
    return bring_back(new_warehouse, negative_amounts=True, refunded_status=True)


def test_spend_orders_and_recency_are_those_of_what_was_kept(declared: "Warehouse") -> None:
    view = declared.query(
        "select customer_id, count_orders_total, amount_spent_total, cast(last_order_date as varchar) as last_day "
        "from customer_360.customers where customer_id <> 'daily' order by 1"
    )
    assert [tuple(None if pd.isna(cell) else cell for cell in row) for row in view.itertuples(index=False)] == [
        ("note", 1, 30.0, "2025-02-10"),
        ("part", 2, 60.0, "2025-03-10"),
        ("status", 1, 50.0, "2025-02-10"),
        ("strange", 0, 0.0, None),
        ("twice", 1, 25.0, "2025-02-20"),
        ("whole", 0, 0.0, None),
    ]
    features = declared.query(
        "select customer_id, count_orders_total, amount_spent_180d, recency_days "
        "from intermediate.int_snapshot_orders where customer_id <> 'daily' order by 1"
    )
    assert features.to_numpy().tolist() == [
        ["note", 1, 30, 80],
        ["part", 2, 60, 52],
        ["status", 1, 50, 80],
        ["twice", 1, 25, 70],
    ]


def test_who_sent_back_the_only_order_has_no_value(declared: "Warehouse") -> None:
    (tier, is_unknown), *_ = declared.query(
        "select value_tier, value_from_now is null from customer_360.customers where customer_id = 'whole'"
    ).to_numpy()
    assert (tier, bool(is_unknown)) == ("normal", True)


def test_nobody_stays_by_a_refund_or_by_an_order_that_was_taken_back(declared: "Warehouse") -> None:
    found = declared.query("select customer_id, churned from features.churn_outcomes where is_main order by 1")
    assert dict(zip(found["customer_id"], found["churned"], strict=True)) == {
        "daily": False,
        "note": True,
        "part": False,
        "status": True,
        "twice": True,
    }


def test_lines_are_net_as_well(declared: "Warehouse") -> None:
    found = declared.query(
        "select customer_id, cast(sum(amount_spent) as double) as amount "
        "from intermediate.int_customer_category_days where customer_id <> 'daily' group by all order by 1"
    )
    assert dict(zip(found["customer_id"], found["amount"], strict=True))["part"] == 60.0
    assert "whole" not in set(found["customer_id"])


def test_what_is_declared_later_changes_the_days_that_it_speaks_of_and_unknown_customers_change_nobody(
    new_warehouse: Build, declared: "Warehouse"
) -> None:
    strangers = [(f"s{day}", f"unknown {day}", f"2025-04-{day:02d}", 1e6, "paid") for day in range(1, 29)]
    later = bring_back(new_warehouse, *strangers)
    days = "select * from intermediate.int_customer_order_days where customer_id not like 'unknown%' order by all"
    assert not later.query(days).equals(declared.query(days))
    settings = {"timezone": "UTC", "as_of": AS_OF, "churn": CHURN}
    settings |= {"company_cleaning": {"returns": {"negative_amounts": True, "refunded_status": True}}}
    feeds = {name: ["raw_shop"] for name in ("customers", "orders", "order_lines", "products")}
    later.dbt("run", "--select", *MODELS, feeds=feeds, **settings)
    for asked in (days, "select * from customer_360.customers order by customer_id"):
        pd.testing.assert_frame_equal(later.query(asked), declared.query(asked))
