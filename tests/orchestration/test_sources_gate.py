"""The gate on raw tables: it compares with what passed before and says what closed it, where, and what to do."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
from instance import COMPANY

from company.company_file import Company
from company.policy import load_policy
from expectations.sources import build
from ingestion import manifest
from ingestion.readers import load_company
from orchestration.control.gate_overrides import GateOverrides
from orchestration.defs.sources import describe_raw, remember_rows
from orchestration.engines import DuckDb
from orchestration.gates import GateClosedError, Judgement, judge, require_passed
from orchestration.warehouse import Warehouse
from retention.store.store import Store

AS_OF = date(2026, 3, 1)
AT = datetime.fromisoformat("2026-03-01T03:00:00+00:00")
RAW = [("raw_shop", "customers"), ("raw_shop", "orders")]
GOOD = """
create schema raw_shop;
create table raw_shop.customers as select 'c' || i as customer_id, null::timestamp as signed_up_at, 'b1' as _batch
from range(40) as numbers(i);
create table raw_shop.orders as
select 'o' || i as order_id, 'c1' as customer_id, timestamp '2026-02-01' as ordered_at, 1.0 as amount, 'b1' as _batch
from range(6561) as numbers(i);
insert into ingestion.landings (source, table_name, rows_quarantined, batch) values
    ('shop', 'customers', 0, 'b1'), ('shop', 'orders', 0, 'b1');
"""

Ask = Callable[[], Judgement]
Spoil = Callable[[str], None]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        manifest.prepare(connection)
        connection.execute(GOOD)
    return Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    return sqlite_store


@pytest.fixture
def company(tmp_path: Path) -> Company:
    (tmp_path / "company.yaml").write_text(COMPANY)
    return load_company(tmp_path / "company.yaml")


@pytest.fixture
def spoil(warehouse: Warehouse) -> Spoil:
    def change(statement: str) -> None:
        with warehouse.connect() as connection:
            connection.execute(statement)

    return change


@pytest.fixture
def ask(warehouse: Warehouse, store: Store, company: Company, tmp_path: Path) -> Ask:
    """Ask the gate as its asset check does."""

    def ask() -> Judgement:
        suites = build(
            [describe_raw(warehouse, company, schema, table) for schema, table in RAW],
            as_of=AS_OF,
            latest=datetime(2026, 3, 2),  # noqa: DTZ001 - the warehouse keeps UTC without saying so
            limits=load_policy().gates,
        )
        judgement = judge(warehouse, store, "sources", suites, as_of=AS_OF, docs=tmp_path / "gates")
        if judgement.is_open:
            remember_rows(warehouse, RAW, as_of=AS_OF)
        return judgement

    return ask


def test_a_sudden_loss_closes_the_gate_until_the_rows_are_back(ask: Ask, spoil: Spoil) -> None:
    assert ask().is_open
    spoil("create table main.lost as from raw_shop.orders offset 299")
    spoil("delete from raw_shop.orders where order_id in (select order_id from main.lost)")
    closed = [ask().is_open, ask().is_open]
    spoil("insert into raw_shop.orders from main.lost")
    assert (closed, ask().is_open) == ([False, False], True)


def test_what_a_person_lets_pass_is_the_new_measure(ask: Ask, spoil: Spoil, store: Store) -> None:
    ask()
    spoil("delete from raw_shop.orders where order_id > 'o3'")
    GateOverrides(store).grant("sources", AS_OF, by="Ann", reason="the shop was split", at=AT)
    assert ask().verdict.passed is False
    assert ask().verdict.passed is True


def test_a_closed_gate_names_every_table_with_figure_limit_reason_remedy_and_page(
    ask: Ask, spoil: Spoil, warehouse: Warehouse, store: Store, tmp_path: Path
) -> None:
    ask()
    spoil("delete from raw_shop.customers where customer_id > 'c1'")
    spoil("update ingestion.landings set rows_quarantined = 900 where table_name = 'orders'")
    spoil(
        "insert into quarantine.rows (source, table_name, batch, reason, column_name) "
        "select 'shop', 'orders', 'b1', 'not a moment', 'ordered_at' from range(900)"
    )
    ask()
    with pytest.raises(GateClosedError) as closed:
        require_passed(warehouse, store, "sources", as_of=AS_OF)
    assert closed.value.description == (
        "The sources gate is closed for 2026-03-01: "
        "raw_shop.customers: expected that the table holds at least 50% of the 40 rows it held before "
        "(rows_have_not_fallen), found 2 rows instead of 40. Deliver the missing rows; once a person lets it pass, so "
        "few are the new measure. "
        "raw_shop.orders: expected that at most 5.0% of the rows are in quarantine (quarantine_is_small), found 900 of "
        "7,461 rows (12.1%). The most frequent reasons: ordered_at: not a moment (900 rows). `holdfast quarantine` "
        "shows the rows; correct the source or its mapping. "
        f"{(tmp_path / 'gates/sources/index.html').as_uri()} shows all findings. "
        "Fix the data and run the day again, or let it pass by name: "
        '`holdfast override sources --as-of 2026-03-01 --by "NAME" --reason "WHY"`.'
    )
