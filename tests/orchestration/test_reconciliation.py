"""The books of ingestion and cleaning: a row without a fate is found and named."""

from pathlib import Path

import pytest

from orchestration.engines import DuckDb
from orchestration.reconciliation import describe_cleaning, find_gaps, find_missing_days
from orchestration.warehouse import Warehouse

TABLES = """
    create schema ingestion;
    create schema staging;
    create schema bookkeeping;
    create table ingestion.landings as select * from (values
        ('shop', 'orders', 10, 7, 2, 1, 'b2', timestamp '2026-01-02'),
        ('shop', 'events', 5, 5, 0, 0, 'b1', timestamp '2026-01-01')
    ) rows(source, table_name, rows_in, rows_landed, rows_quarantined, rows_duplicate, batch, landed_at);
    create table bookkeeping.cleaning_reconciliation as select * from (values
        ('b2', 'shop', 'orders', 7, 6, 1), ('b1', 'shop', 'events', 5, 5, 0)
    ) rows(batch, source, table_name, rows_landed, rows_staged, rows_removed);
    create table bookkeeping.cleaning_counts as select * from (values
        ('b1', 'shop', 'orders', 'vocabulary', 'channel', 'repaired', 3, false),
        ('b2', 'shop', 'orders', 'vocabulary', 'channel', 'repaired', 2, true),
        ('b2', 'shop', 'orders', 'test_row', null, 'removed', 1, true),
        ('b1', 'shop', 'events', 'duplicate_click', null, 'removed', 0, true)
    ) rows(batch, source, table_name, rule, column_name, action, count_rows, is_latest);
    create table bookkeeping.feed_pauses as select * from (values
        ('orders', 'raw_shop', date '2025-03-01', date '2025-04-01', 31, true),
        ('orders', 'raw_shop', date '2025-12-25', date '2025-12-26', 1, false)
    ) rows(source_table, feed, paused_from, paused_until, count_days, is_missing);
    create table bookkeeping.feed_coverage as select * from (values
        ('orders', 'raw_shop', 0), ('events', 'raw_logs', 2)
    ) rows(source_table, feed, count_rows_later);
"""


@pytest.fixture
def books(tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    change(warehouse, TABLES)
    return warehouse


def change(books: Warehouse, *statements: str) -> None:
    with books.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def test_books_that_add_up_have_no_gap(books: Warehouse) -> None:
    assert find_gaps(books) == ()


def test_a_landing_and_a_batch_that_lost_rows_are_named(books: Warehouse) -> None:
    change(
        books,
        "update ingestion.landings set rows_quarantined = 1 where table_name = 'orders'",
        "update bookkeeping.cleaning_reconciliation set rows_staged = 3 where table_name = 'events'",
    )
    assert [str(gap) for gap in find_gaps(books)] == [
        "shop.orders: 10 rows came, the fate of 9 is known",
        "shop.events of batch b1: 5 rows came, the fate of 3 is known",
    ]


def test_what_rules_did_is_told_over_all_rows_and_for_the_latest_batch(books: Warehouse) -> None:
    assert describe_cleaning(books).splitlines() == [
        "| table | rule | column | action | rows that stand | of the latest batch |",
        "| --- | --- | --- | --- | --- | --- |",
        "| orders | test_row |  | removed | 1 | 1 |",
        "| orders | vocabulary | channel | repaired | 5 | 2 |",
    ]


def test_missing_days_and_rows_of_the_future_are_reported_with_the_fix(books: Warehouse) -> None:
    missing, later = find_missing_days(books)
    assert missing.startswith("raw_shop.orders has no rows from 2025-03-01 to 2025-03-31 (31 days)")
    assert "`closed`" in missing
    assert later.startswith("raw_logs.events has 2 rows dated after the day of their ingestion")
    change(
        books,
        "update bookkeeping.feed_pauses set is_missing = false",
        "update bookkeeping.feed_coverage set count_rows_later = 0",
    )
    assert find_missing_days(books) == ()
