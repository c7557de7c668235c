"""What was built from ids that have moved since is built again, and nothing else."""

from datetime import date
from typing import Any

import duckdb
import pytest

from ingestion.identity.history import Followed, drop_stale_snapshots
from ingestion.identity.storing import DDL

TABLE = "features.customer_features"
JANUARY, FEBRUARY, MARCH = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)
DAYS = (JANUARY, FEBRUARY, MARCH)


@pytest.fixture
def instance() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(DDL)
    connection.execute("create schema features")
    connection.execute(f"create table {TABLE} (as_of date, customer_id varchar)")
    rows: list[tuple[Any, ...]] = [(JANUARY, "a"), (FEBRUARY, "a"), (FEBRUARY, "b"), (MARCH, "a"), (MARCH, "c")]
    connection.executemany(f"insert into {TABLE} values (?, ?)", rows)
    return connection


def move(instance: duckdb.DuckDBPyConnection, customer_id: str, before: str, after: str) -> None:
    instance.execute(
        "insert into identity.changes values (?, ?, ?, 'b', now()::timestamp)", [customer_id, before, after]
    )


def test_a_joined_id_makes_those_slices_stale_that_know_it_as_a_customer(instance: duckdb.DuckDBPyConnection) -> None:
    move(instance, "b", "b", "a")
    move(instance, "new", "new", "a")
    assert drop_stale_snapshots(instance, TABLE, days=DAYS) == Followed(moves=2, snapshots=(FEBRUARY,))
    assert drop_stale_snapshots(instance, TABLE, days=DAYS) == Followed(moves=0, snapshots=())
    assert instance.execute(f"select distinct as_of from {TABLE} order by 1").fetchall() == [(JANUARY,), (MARCH,)]


def test_a_parted_id_makes_those_slices_stale_that_know_whom_it_stood_for(instance: duckdb.DuckDBPyConnection) -> None:
    move(instance, "gone", "c", "gone")
    assert drop_stale_snapshots(instance, TABLE, days=DAYS) == Followed(moves=1, snapshots=(MARCH,))


def test_a_slice_that_nobody_builds_again_stays_as_it_was(instance: duckdb.DuckDBPyConnection) -> None:
    move(instance, "b", "b", "a")
    assert drop_stale_snapshots(instance, TABLE, days=[MARCH]) == Followed(moves=1, snapshots=())


def test_a_house_without_identity_or_features_has_nothing_to_follow(instance: duckdb.DuckDBPyConnection) -> None:
    assert drop_stale_snapshots(instance, "features.none", days=DAYS) == Followed(moves=0, snapshots=())
    assert drop_stale_snapshots(duckdb.connect(), TABLE, days=DAYS) == Followed(moves=0, snapshots=())
