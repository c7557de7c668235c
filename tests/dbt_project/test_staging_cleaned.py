"""Cleaning in staging: what each rule removes, repairs and fills, that it is counted, and that no row goes missing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

MOMENT = pd.Timestamp
SHOP = {
    "customers": pd.DataFrame(
        {
            "customer_id": ["ann", "ann2", "bob", "qa"],
            "kind": ["P", "个人", "Enterprise", None],
            "gender": ["女", "Female", "M", None],
            "preference": [None, "tea", "wine", None],
            "city": ["Bern", None, "Basel", None],
            "acquisition_cost": [10, 5, 1, 0],
            "acquisition_channel": ["H5", "小程序", "fair", None],
            "signed_up_at": [MOMENT("2017-02-01"), MOMENT("2017-01-01"), MOMENT("2017-01-05"), None],
            "parent_customer_id": [None, None, "ann2", None],
            "is_test": [None, False, None, True],
        }
    ),
    "orders": pd.DataFrame(
        {
            "order_id": ["o1", "o2", "o3", "o4", "o5"],
            "customer_id": ["ann", "ann2", "bob", "qa", "bob"],
            "ordered_at": [MOMENT("2017-03-05")] * 5,
            "amount": [7, 8, 9, 0.01, 0.01],
            "channel": ["APP", "App ", "旗舰店", "app", "web"],
            "status": ["SUCC", "已退款", "on its way", "paid", "paid"],
            "is_test": [False, None, None, None, True],
        }
    ),
    "events": pd.DataFrame(
        {
            "event_id": ["e1", "e2", "e3", "e4", "e5", "e6", "e7"],
            "customer_id": ["ann"] * 5 + ["qa", "ann"],
            "occurred_at": [
                MOMENT(f"2017-03-05 10:00:{second}") for second in ("00.0", "00.4", "01.3", "02.4", "00.1", "00.0")
            ]
            + [MOMENT("2017-03-04 10:00")],
            "type": "view",
            "page": ["home"] * 4 + ["cart", "home", "home"],
            "channel": ["WeChat_Mini_Program", "web", "web", "web", "web", "web", "web"],
        }
    ),
    "usage": pd.DataFrame(
        {
            "customer_id": ["ann", "ann2", "bob"],
            "used_at": [MOMENT("2017-03-05")] * 3,
            "metric": "balance",
            "value": [3.0, 4.0, 5.0],
        }
    ),
}
DESK = {"customers": pd.DataFrame({"customer_id": ["bob", "cyd"], "city": ["Genf", "Chur"]})}
FEEDS = {"customers": ["raw_crm", "raw_desk"], "orders": ["raw_crm"], "events": ["raw_crm"], "usage": ["raw_crm"]}
OWN = {
    "duplicate_seconds": 2,
    "vocabulary": {"orders": {"channel": {"store": ["旗舰店"]}, "status": {"on l'Aquila's way": ["on-its-way"]}}},
    "fills": {"customers": {"city": "l'Aquila"}},
}
COUNTS = """
    select batch, table_name, rule, column_name, cast(sum(count_rows) as bigint) as count_rows
    from bookkeeping.cleaning_counts group by all having sum(count_rows) > 0
"""

Frames = dict[str, list[list[Any]]]


@pytest.fixture(scope="module")
def staged(new_warehouse: Callable[..., "Warehouse"]) -> Frames:
    """Staging with identities, and with the company's own rules on top of the product's."""
    warehouse = new_warehouse({"raw_crm": SHOP, "raw_desk": DESK})
    warehouse.execute(
        # the last click comes with a later landing
        "update raw_crm.events set _batch = 'second', _landed_at = timestamp '2026-02-02' where event_id = 'e7'",
        "create schema identity",
        "create table identity.members as select * from (values ('crm', 'ann', 'ann'), ('crm', 'ann2', 'ann'), "
        "('crm', 'bob', 'bob'), ('desk', 'bob', 'bob')) m(source, customer_id, canonical_id)",
        "create table ingestion.repairs as select 'crm' as source, 'events' as table_name, 'first' as batch, "
        "'occurred_at' as column_name, 'epoch_time' as rule, 2::bigint as count_rows",
    )
    variables = {"feeds": FEEDS, "as_of": "2018-01-01", "identity": True, "company_cleaning": OWN}
    warehouse.dbt("run", "--select", "path:models/staging", "+path:models/bookkeeping", **variables)
    return answers(warehouse)


def answers(warehouse: "Warehouse") -> Frames:
    queries = {
        "customers": "select customer_id, kind, gender, preference, city, acquisition_channel, parent_customer_id, "
        "cast(acquisition_cost as double), cast(signed_up_at as varchar) from staging.stg_customers",
        "orders": "select order_id, customer_id, channel, status from staging.stg_orders",
        "events": "select event_id, customer_id, channel from staging.stg_events",
        "usage": "select customer_id, value from staging.stg_usage",
        "counts": COUNTS,
        "accounts": "select * from bookkeeping.cleaning_reconciliation",
    }
    found = {name: warehouse.query(f"select * from ({query}) order by all") for name, query in queries.items()}
    return {name: rows.astype(object).where(rows.notna(), None).to_numpy().tolist() for name, rows in found.items()}


def test_words_are_written_one_way_in_the_products_vocabulary_and_the_companys_own(staged: Frames) -> None:
    assert staged["orders"] == [
        ["o1", "ann", "app", "paid"],
        ["o2", "ann", "app", "refunded"],
        ["o3", "bob", "store", "on l'Aquila's way"],
    ]


def test_a_click_like_the_one_just_before_it_counts_once_and_testers_not_at_all(staged: Frames) -> None:
    assert staged["events"] == [["e1", "ann", "mini-program"], ["e5", "ann", "web"], ["e7", "ann", "web"]]


def test_accounts_of_one_customer_become_one_row_by_the_declared_survivorship(staged: Frames) -> None:
    assert staged["customers"] == [
        ["ann", "person", "female", "tea", "Bern", "mini-program", None, 15.0, "2017-01-01 00:00:00"],
        ["bob", "company", "male", "wine", "Basel", "fair", "ann", 1.0, "2017-01-05 00:00:00"],
        ["cyd", None, None, "unknown", "Chur", None, None, None, None],
    ]


def test_measurements_of_several_accounts_add_up(staged: Frames) -> None:
    assert staged["usage"] == [["ann", 7.0], ["bob", 5.0]]


def test_every_rule_is_counted_per_batch(staged: Frames) -> None:
    assert staged["counts"] == [
        ["first", "customers", "missing_value", "city", 2],
        ["first", "customers", "missing_value", "preference", 2],
        ["first", "customers", "same_customer", None, 2],
        ["first", "customers", "test_row", None, 1],
        ["first", "customers", "vocabulary", "acquisition_channel", 2],
        ["first", "customers", "vocabulary", "gender", 3],
        ["first", "customers", "vocabulary", "kind", 3],
        ["first", "events", "duplicate_click", None, 3],
        ["first", "events", "epoch_time", "occurred_at", 2],
        ["first", "events", "test_customer", None, 1],
        ["first", "events", "vocabulary", "channel", 1],
        ["first", "orders", "test_customer", None, 1],
        ["first", "orders", "test_row", None, 1],
        ["first", "orders", "vocabulary", "channel", 3],
        ["first", "orders", "vocabulary", "status", 3],
        ["first", "usage", "same_customer", None, 1],
        ["second", "events", "late_row", None, 1],
    ]


def test_every_landed_row_is_staged_or_removed_by_a_rule(staged: Frames) -> None:
    assert staged["accounts"] == [
        ["first", "crm", "customers", 4, 2, 2],
        ["first", "crm", "events", 6, 2, 4],
        ["first", "crm", "orders", 5, 3, 2],
        ["first", "crm", "usage", 3, 2, 1],
        ["first", "desk", "customers", 2, 1, 1],
        ["second", "crm", "events", 1, 1, 0],
    ]
