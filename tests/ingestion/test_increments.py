"""Feeds that bring only what is new: log files taken one by one, and tables read from a cursor on."""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestion.readers.extract import FileSeen
from ingestion.readers.files import sort_out

if TYPE_CHECKING:
    from conftest import Shop

    from ingestion.landing import LandingReport

Write = Callable[[str, list[dict[str, object]]], None]


def click(number: int, **more: object) -> dict[str, object]:
    return {"id": f"e{number}", "who": "c1", "at": f"2024-01-01T{number:02d}:00:00Z", "dev": f"d{number % 2}", **more}


@pytest.fixture
def logs(shop: "Shop") -> Write:
    """Connect hourly logs as `events`, and write one."""
    shop.document["sources"]["web"] = {"reader": "files", "files": {"clicks": "logs/*.jsonl.gz"}}
    shop.document["tables"]["events"] = {
        "source": "web",
        "from": "clicks",
        "incremental": "file",
        "columns": {
            "event_id": "id",
            "customer_id": "who",
            "occurred_at": '"at"',
            "device_id": "dev",
            "dwell_seconds": "dwell",
        },
    }
    (shop.folder / "logs").mkdir()

    def write(name: str, events: list[dict[str, object]]) -> None:
        lines = "".join(json.dumps(event) + "\n" for event in events)
        (shop.folder / "logs" / name).write_bytes(gzip.compress(lines.encode()))

    return write


def counts(report: "LandingReport") -> tuple[int, int, int, int, bool]:
    brought = (report.rows_in, report.rows_landed, report.rows_quarantined, report.rows_duplicate)
    return (*brought, report.skipped)


def test_a_log_file_is_taken_once_even_when_it_is_renamed_copied_or_touched(shop: "Shop", logs: Write) -> None:
    logs("01.jsonl.gz", [click(1), click(2, dwell=3)])
    first = shop.land("events")
    folder = shop.folder / "logs"
    shutil.copy(folder / "01.jsonl.gz", folder / "00-copy.jsonl.gz")
    (folder / "01.jsonl.gz").rename(folder / "01-renamed.jsonl.gz")
    second = shop.land("events", batch="b2")
    assert [counts(first), counts(second)] == [(2, 2, 0, 0, False), (0, 0, 0, 0, True)]
    assert shop.rows("select event_id, dwell_seconds, _batch from raw_web.events order by 1") == [
        ("e1", None, "b1"),
        ("e2", 3, "b1"),
    ]


def test_a_rewritten_file_and_a_late_one_bring_only_their_new_rows(shop: "Shop", logs: Write) -> None:
    logs("02.jsonl.gz", [click(3), click(4)])
    first = shop.land("events")
    logs("02.jsonl.gz", [click(4), click(3, dwell=9), click(5)])
    logs("01.jsonl.gz", [click(1), click(4), {"id": "e9", "who": "c1", "at": "noon", "dev": "d"}])
    second = shop.land("events", batch="b2")
    assert [counts(first), counts(second)] == [(2, 2, 0, 0, False), (6, 3, 1, 2, False)]
    assert shop.rows("select event_id, dwell_seconds, _batch from raw_web.events order by 1") == [
        ("e1", None, "b2"),
        ("e3", 9, "b2"),
        ("e4", None, "b1"),
        ("e5", None, "b2"),
    ]
    assert shop.rows("select row_key, reason, batch from quarantine.rows") == [("e9", "not a moment", "b2")]


def test_a_changed_mapping_reads_every_file_again(shop: "Shop", logs: Write) -> None:
    logs("01.jsonl.gz", [click(1, kind="visit")])
    shop.land("events")
    shop.document["tables"]["events"]["columns"]["type"] = "kind"
    assert counts(shop.land("events", batch="b2")) == (1, 1, 0, 0, False)
    assert shop.rows("select event_id, type, _batch from raw_web.events") == [("e1", "visit", "b2")]


def test_rows_whose_file_is_gone_stay_when_a_changed_mapping_reads_the_rest_again(shop: "Shop", logs: Write) -> None:
    logs("01.jsonl.gz", [click(1, kind="visit")])
    logs("02.jsonl.gz", [click(2, kind="visit")])
    shop.land("events")
    (shop.folder / "logs" / "01.jsonl.gz").unlink()
    shop.document["tables"]["events"]["columns"]["type"] = "kind"
    shop.land("events", batch="b2")
    assert shop.rows("select event_id, type, _batch from raw_web.events order by 1") == [
        ("e1", None, "b1"),
        ("e2", "visit", "b2"),
    ]


def test_a_table_that_was_dropped_is_read_again_from_the_start(shop: "Shop", logs: Write) -> None:
    logs("01.jsonl.gz", [click(1)])
    shop.land("events")
    shop.warehouse.execute("drop table raw_web.events")
    assert counts(shop.land("events", batch="b2")) == (1, 1, 0, 0, False)


@pytest.mark.usefixtures("logs")
def test_broken_lines_of_each_bundle_are_set_aside_once(shop: "Shop", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.readers.files._BUNDLE_BYTES", 10)
    shop.document["sources"]["web"]["files"]["clicks"] = "logs/*.csv"
    shop.document["tables"]["events"]["columns"].pop("dwell_seconds")
    for number in (1, 2, 3):
        shop.write(f"logs/{number}.csv", f"id,who,at,dev\ne{number},c1,2024-01-01,d\nbroken\n")
    assert counts(shop.land("events")) == (6, 3, 3, 0, False)
    assert shop.rows("select row_key from quarantine.rows order by 1") == [("1.csv:3",), ("2.csv:3",), ("3.csv:3",)]


def test_many_files_land_in_bundles_as_one_landing(shop: "Shop", logs: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.readers.files._BUNDLE_BYTES", 200)
    for hour in range(1, 9):
        logs(f"{hour:02d}.jsonl.gz", [click(hour), click(hour + 1, dwell=hour)])
    report = shop.land("events")
    newest = shop.rows("select event_id, dwell_seconds from raw_web.events order by 1")
    assert (report.rows_in, report.rows_landed + report.rows_duplicate + report.rows_quarantined) == (16, 16)
    assert [event for event, _ in newest] == [f"e{number}" for number in range(1, 10)]
    assert shop.rows("select count(*), count(distinct content) from ingestion.files where source = 'web'") == [(8, 8)]


def test_a_bundle_is_as_large_as_it_may_be_and_one_file_may_be_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.readers.files._BUNDLE_BYTES", 100)
    sizes = {"a": 40, "b": 40, "c": 40, "d": 60, "e": 400, "f": 10}
    files = [FileSeen(path=Path(name), content=name, size=size, modified_ns=0) for name, size in sizes.items()]
    bundles, _ = sort_out(files, taken=[])
    assert ["".join(file.content for file in bundle) for bundle in bundles] == ["ab", "cd", "e", "f"]


def test_a_new_field_in_a_later_file_is_reported_and_a_field_left_out_is_null(shop: "Shop", logs: Write) -> None:
    logs("01.jsonl.gz", [click(1, dwell=4)])
    shop.land("events")
    logs("02.jsonl.gz", [click(2, referrer="mail")])
    report = shop.land("events", batch="b2")
    assert report.notices == ("new column `clicks.referrer` (varchar), not mapped",)
    assert shop.rows("select event_id, dwell_seconds from raw_web.events order by 1") == [("e1", 4), ("e2", None)]


def test_nothing_of_a_landing_stays_when_a_later_file_of_it_cannot_be_read(
    shop: "Shop", logs: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.readers.files._BUNDLE_BYTES", 10)
    logs("01.jsonl.gz", [click(1, dwell=4)])
    (shop.folder / "logs" / "02.jsonl.gz").write_bytes(b"this is no gzip")
    said = shop.refused("events")
    assert "sources.web.files.clicks" in said
    assert "02.jsonl.gz" in said
    assert shop.rows("select * from duckdb_tables() where schema_name = 'raw_web'") == []
    assert shop.rows("from ingestion.files where source = 'web'") == []


@pytest.fixture
def crm(shop: "Shop") -> "Shop":
    """Connect a database whose orders carry the time of their last change."""
    shop.secrets["CRM_URL"] = f"sqlite:///{shop.folder / 'crm.db'}"
    shop.document["sources"]["crm"] = {"reader": "sql", "connection": "CRM_URL"}
    shop.orders.update({"source": "crm", "from": "sales", "incremental": "changed"})
    write(
        shop, "create table sales (order_id text, customer_id text, ordered_at text, amount numeric, changed datetime)"
    )
    add(shop, "o1", 1, "2024-01-01 00:00:00")
    add(shop, "o2", 2, "2024-01-02 00:00:00")
    return shop


def write(shop: "Shop", statement: str) -> None:
    with sqlite3.connect(shop.folder / "crm.db") as database:
        database.execute(statement)


def add(shop: "Shop", order: str, amount: float, changed: str) -> None:
    write(shop, f"insert into sales values ('{order}', 'c1', '2024-01-01', {amount}, '{changed}')")


def test_a_cursor_brings_new_and_changed_rows_and_nothing_twice(crm: "Shop") -> None:
    first, again = crm.land("orders"), crm.land("orders", batch="b2")
    add(crm, "o3", 3, "2024-01-03 00:00:00")
    write(crm, "update sales set amount = 20, changed = '2024-01-04 00:00:00' where order_id = 'o1'")
    third = crm.land("orders", batch="b3")
    assert [counts(report) for report in (first, again, third)] == [
        (2, 2, 0, 0, False),
        (1, 0, 0, 1, True),
        (3, 2, 0, 1, False),
    ]
    assert crm.rows("select order_id, amount, _batch from raw_crm.orders order by 1") == [
        ("o1", 20, "b3"),
        ("o2", 2, "b1"),
        ("o3", 3, "b3"),
    ]
    assert crm.rows("select cursor from ingestion.landings where table_name = 'orders'") == [("2024-01-04 00:00:00",)]


def test_rows_that_were_committed_late_are_found_within_the_lookback(crm: "Shop") -> None:
    crm.orders["lookback_hours"] = 24
    crm.land("orders")
    add(crm, "late", 3, "2024-01-01 12:00:00")
    add(crm, "without", 4, "")
    write(crm, "update sales set changed = null where order_id = 'without'")
    crm.land("orders", batch="b2")
    assert crm.rows("select order_id from raw_crm.orders order by 1") == [("late",), ("o1",), ("o2",), ("without",)]


def test_a_bad_row_that_is_read_again_is_set_aside_once(crm: "Shop") -> None:
    add(crm, "", 1, "2024-01-05 00:00:00")
    first, again = crm.land("orders"), crm.land("orders", batch="b2")
    assert [counts(first), counts(again)] == [(3, 2, 1, 0, False), (1, 0, 0, 1, True)]
    assert crm.rows("select reason, batch from quarantine.rows") == [("missing", "b1")]


def test_a_cursor_works_over_a_query_too(crm: "Shop") -> None:
    crm.orders["from"] = "select *, 1 as one from sales where amount < 10"
    crm.land("orders")
    add(crm, "o3", 3, "2024-01-03 00:00:00")
    assert counts(crm.land("orders", batch="b2")) == (2, 1, 0, 1, False)


def test_a_cursor_column_that_does_not_exist_is_named(crm: "Shop") -> None:
    crm.orders["incremental"] = "chnged"
    said = crm.refused("orders")
    assert "tables.orders.incremental: the column `chnged` does not exist there. Did you mean `changed`?" in said


def test_a_new_column_is_reported_a_changed_type_stops_its_table_and_a_changed_mapping_accepts_it(crm: "Shop") -> None:
    del crm.orders["incremental"]
    crm.land("orders")
    write(crm, "alter table sales add column coupon text")
    add_all = "select order_id, customer_id, ordered_at, cast(amount as text) as amount, changed, coupon from sales"
    report = crm.land("orders", batch="b2")
    assert (report.skipped, report.notices) == (True, ("new column `coupon` (varchar), not mapped",))
    write(crm, f"create table other as {add_all}")
    write(crm, "drop table sales")
    write(crm, "create table sales (order_id text, customer_id text, ordered_at text, amount text, changed datetime)")
    write(crm, "insert into sales select order_id, customer_id, ordered_at, amount, changed from other")
    said = crm.refused("orders")
    assert "tables.orders.columns: the source's column `amount` was of type DOUBLE" in said
    assert "is now VARCHAR, so this table is not loaded" in said
    assert crm.land("customers").rows_landed == 3
    crm.orders["columns"]["amount"] = "cast(amount as double)"
    assert crm.land("orders", batch="b3").rows_landed == 2
