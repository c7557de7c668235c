"""The event lane's log as a source: what the collector took lands in `events` once, on from the last position."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.defs.lane import note_landed
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse
from retention.store.store import Store
from serving.lane.log import FIELDS, SqliteLog

if TYPE_CHECKING:
    from conftest import Shop


@pytest.fixture
def log(shop: "Shop") -> SqliteLog:
    """Connect a log as `events`."""
    shop.document["sources"]["lane"] = {"reader": "lane", "log": "lane/events.db"}
    columns = {name: f'"{name}"' for name in FIELDS}
    feed = {"source": "lane", "from": "events", "incremental": "position", "columns": columns}
    shop.document["tables"]["events"] = feed
    return SqliteLog(shop.folder / "lane" / "events.db")


def append(log: SqliteLog, *numbers: int) -> None:
    rows = [(f"e{n}", "c1", 1_704_067_200_000 + n, "visit", *[None] * 5, 1.5, n == 2) for n in numbers]
    log.append(rows, received_at=1)


def test_events_land_by_the_contract_and_only_the_new_ones_the_next_time(shop: "Shop", log: SqliteLog) -> None:
    append(log, 1, 2)
    first = shop.land("events")
    append(log, 2, 3)
    second = shop.land("events", batch="b2")
    assert (first.rows_landed, second.rows_landed) == (2, 1)
    query = (
        "select event_id, occurred_at::varchar, type, dwell_seconds, is_test, _batch from raw_lane.events order by 1"
    )
    assert shop.rows(query) == [
        ("e1", "2024-01-01 00:00:00.001", "visit", 1.5, False, "b1"),
        ("e2", "2024-01-01 00:00:00.002", "visit", 1.5, True, "b1"),
        ("e3", "2024-01-01 00:00:00.003", "visit", 1.5, False, "b2"),
    ]


def test_an_event_stays_in_the_log_until_it_has_landed(
    shop: "Shop", log: SqliteLog, sqlite_store: Store, tmp_path: Path
) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    append(log, 1, 2)
    assert sqlite_store.lane.read_landed() == 0
    shop.land("events")
    note_landed(shop.company(), warehouse, sqlite_store)
    append(log, 3)
    assert (sqlite_store.lane.read_landed(), log.last()) == (2, 3)
    sqlite_store.lane.record_landed(1, at=datetime(2024, 3, 1, tzinfo=UTC))
    assert sqlite_store.lane.read_landed() == 2


def test_an_empty_log_lands_nothing_and_a_missing_one_is_named(shop: "Shop", log: SqliteLog) -> None:
    assert shop.land("events").rows_landed == 0
    log.close()
    (shop.folder / "lane" / "events.db").unlink()
    assert "there is no log at `lane/events.db`" in shop.refused("events")


def test_a_feed_that_would_read_the_log_from_its_start_is_refused(shop: "Shop", log: SqliteLog) -> None:
    append(log, 1)
    del shop.document["tables"]["events"]["incremental"]
    assert "Write `incremental: position`" in shop.refused("events")
