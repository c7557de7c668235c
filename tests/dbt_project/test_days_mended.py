"""Day tables are fixed where rows came late, changed or went, and are then what a full rebuild makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pytest

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF, SNAPSHOTS = "2017-12-01", ["2017-07-01", "2017-10-01"]
LANDED = "_batch = 'second', _landed_at = timestamp '2026-02-02'"
ANOTHER_EVENT = """
    insert into raw_generated.events
    select * replace (
        '{name}' as event_id, timestamp '{moment}' as occurred_at, 'second' as _batch,
        timestamp '2026-02-02' as _landed_at
    )
    from raw_generated.events where event_id = 'e00001'
"""
CHANGES = (  # as landing makes them: what is written anew stands under the later landing
    # one more day, and a row that comes nine months late
    ANOTHER_EVENT.format(name="next", moment="2017-12-31 17:00"),
    ANOTHER_EVENT.format(name="late", moment="2017-03-03 17:00"),
    # an order that is dated anew leaves its day
    f"update raw_generated.orders set ordered_at = timestamp '2017-06-06 17:00', {LANDED} where order_id = 'o00007'",
    # rows that the source takes back, a whole day among them
    "delete from raw_generated.touches where touched_at between '2017-05-05 04:00' and '2017-05-06 04:00'",
    # a product that moves to another department changes every day on which it was bought
    "update raw_generated.products set department = 'garden' where product_id = 'p00003'",
    # an order of the second feed comes in the first as well, on another day: the first feed's row stays
    """
    insert into raw_generated.orders
    select * replace (
        (select min(order_id) from raw_shop.orders) as order_id, timestamp '2017-09-09 17:00' as ordered_at,
        'second' as _batch, timestamp '2026-02-02' as _landed_at
    )
    from raw_generated.orders where order_id = 'o00008'
    """,
    # a click a moment after another, which stood there as its repetition's first
    ANOTHER_EVENT.format(name="again", moment="2017-03-03 17:00:00.5"),
)
A_CONTACT = (  # a person who turns out to be the contact of a company
    "update raw_generated.customers set kind = 'company' where customer_id = 'g00001'",
    "update raw_generated.customers set parent_customer_id = 'g00001' where customer_id = 'g00039'",
)
MENDED = (
    "select table_schema || '.' || table_name as name from information_schema.tables "
    "where (table_schema = 'intermediate' and (table_name like 'int_customer_%_days' "
    "or table_name in ('int_customers_dated', 'int_tickets_timed'))) "
    "or (table_schema = 'bookkeeping' and table_type = 'BASE TABLE' "
    "and table_name not in ('days_built', 'days_to_rebuild'))"
)


@pytest.fixture(scope="module")
def changed(lived: "Warehouse", tmp_path_factory: pytest.TempPathFactory) -> tuple["Warehouse", "Warehouse"]:
    """Two copies of the company after the same changes of its raw rows; neither has run since."""
    pair = []
    for name in ("fixed", "rebuilt"):
        warehouse = lived.copy(tmp_path_factory.mktemp(name))
        warehouse.execute(*CHANGES)
        pair.append(warehouse)
    return pair[0], pair[1]


@pytest.fixture(scope="module")
def fixed(changed: tuple["Warehouse", "Warehouse"], feeds: Mapping) -> "Warehouse":
    """The company whose next run read the days that were touched and built those that were due."""
    run(changed[0], feeds)
    return changed[0]


@pytest.fixture(scope="module")
def with_contact(fixed: "Warehouse", feeds: Mapping, tmp_path_factory: pytest.TempPathFactory) -> "Warehouse":
    """The fixed company after one of its customers became the contact of another."""
    home = tmp_path_factory.mktemp("contact")
    warehouse = fixed.copy(home)
    warehouse.execute(*A_CONTACT)
    run(warehouse, feeds)
    return warehouse


def run(warehouse: "Warehouse", feeds: Mapping, *flags: str) -> None:
    select = ("--select", "path:models/staging", "path:models/bookkeeping", "path:models/intermediate")
    warehouse.dbt("run", *flags, *select, feeds=feeds, as_of=AS_OF, snapshots=SNAPSHOTS)


def local_days(orders: pd.DataFrame) -> pd.Series:
    return orders["ordered_at"].dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")


def days_due(warehouse: "Warehouse") -> list[str]:
    due = warehouse.query(
        "select cast(day_date as varchar) as day from bookkeeping.days_to_rebuild "
        "where day_table = 'int_customer_store_days' and must_rebuild order by 1"
    )
    return due["day"].tolist()


def test_mended_tables_are_those_of_a_full_rebuild_row_for_row(
    fixed: "Warehouse", changed: tuple["Warehouse", "Warehouse"], feeds: Mapping
) -> None:
    run(changed[1], feeds, "--full-refresh")
    tables = fixed.query(MENDED)["name"].tolist()
    assert len(tables) == 24
    with duckdb.connect(fixed.path) as connection:
        connection.execute(f"attach '{changed[1].path}' as rebuilt")
        differing = [
            table
            for table in tables
            if connection.execute(
                f"(from {table} except all from rebuilt.{table}) union all "
                f"(from rebuilt.{table} except all from {table}) limit 1"
            ).fetchone()
        ]
    assert differing == []


def test_only_the_days_whose_rows_changed_are_built_anew(fixed: "Warehouse", company: Mapping) -> None:
    orders, shop = company["raw_generated"]["orders"], company["raw_shop"]["orders"]
    moved = local_days(orders)[orders["order_id"] == "o00007"].tolist()
    twin = local_days(shop)[shop["order_id"] == shop["order_id"].min()].tolist()
    assert days_due(fixed) == sorted({"2017-06-06", "2017-09-09", *moved, *twin})


def test_all_days_of_a_person_who_became_a_contact_are_built_anew(with_contact: "Warehouse", company: Mapping) -> None:
    orders = company["raw_generated"]["orders"]
    now = orders.assign(day=local_days(orders)).set_index("order_id")
    now.loc["o00007", "day"] = "2017-06-06"
    assert days_due(with_contact) == sorted(set(now.loc[now["customer_id"] == "g00039", "day"]))


def test_what_a_contact_person_does_counts_for_the_company_and_the_person_is_no_customer(
    with_contact: "Warehouse", company: Mapping
) -> None:
    events = company["raw_generated"]["events"]
    both = events["customer_id"].isin(["g00001", "g00039"]).sum()
    added = 2 if events.set_index("event_id").loc["e00001", "customer_id"] in {"g00001", "g00039"} else 0
    found = with_contact.query(
        "select customer_id, sum(count_events) as events from intermediate.int_customer_event_days "
        "where customer_id in ('g00001', 'g00039') group by 1"
    )
    population = with_contact.query("select customer_id from intermediate.int_customers_dated")
    pd.testing.assert_frame_equal(
        found, pd.DataFrame({"customer_id": ["g00001"], "events": [float(both + added)]}), check_dtype=False
    )
    assert "g00039" not in set(population["customer_id"])
