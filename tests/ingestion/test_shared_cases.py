"""The inputs of the folder of shared cases, where it is there: each once passed silently or stopped too much."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from company.company_file import Company
from company.file_faults import CompanyError
from ingestion.landing import LandingReport, land
from ingestion.readers import load_company

CASES = Path(__file__).parents[3] / "shared" / "cases"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMA = 'amount: not a number: set `decimal: ","` or `thousands: ","`'

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of shared cases is not here")


class Case:
    """A copy of one case, with a warehouse of its own."""

    def __init__(self, folder: Path, warehouse: duckdb.DuckDBPyConnection) -> None:
        self.folder, self.warehouse = folder, warehouse
        self.document: dict[str, Any] = yaml.safe_load((folder / "company.yaml").read_text())

    def company(self) -> Company:
        path = self.folder / "company.yaml"
        path.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return load_company(path)

    def land(self, table: str) -> LandingReport:
        return land(self.warehouse, self.company(), table, secrets={}, batch="b", landed_at=NOW)

    def refused(self, table: str) -> str:
        with pytest.raises(CompanyError) as caught:
            self.land(table)
        assert self.rows(f"select 1 from duckdb_tables() where table_name = '{table}'") == []
        return str(caught.value)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.warehouse.execute(query).fetchall()

    def joined(self) -> list[tuple[Any, ...]]:
        self.land("customers")
        return self.rows("select order_id from raw_s.orders join raw_s.customers using (customer_id) order by 1")


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    shutil.copytree(CASES / request.param, tmp_path / "case", copy_function=shutil.copyfile)
    (tmp_path / "case").chmod(0o755)
    with duckdb.connect() as warehouse:
        yield Case(tmp_path / "case", warehouse)


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [name], indirect=True)


@of("f01-bom-semicolon-decimal-comma")
def test_a_decimal_comma_is_read_where_it_is_declared_and_in_doubt_elsewhere(case: Case) -> None:
    assert case.land("orders").reasons == {COMMA: 5}
    case.document["tables"]["orders"]["decimal"] = ","
    assert case.land("orders").reasons == {}
    amounts = [(12.5,), (1234.5,), (1234,), (7,), (2000,), (99,)]
    assert case.rows("select amount from raw_s.orders order by order_id") == amounts


@of("f03-latin1")
def test_an_encoding_can_be_declared_and_is_named_as_the_likely_cause(case: Case) -> None:
    assert "`encoding: cp1252`" in case.refused("customers")
    case.document["tables"]["customers"]["encoding"] = "latin-1"
    case.land("customers")
    cities = [("Bonn",), ("Graz",), ("Köln",), ("Málaga",), ("Nürnberg",), ("Ulm",)]
    assert case.rows("select city from raw_s.customers order by city") == cities


@of("f07-duplicate-header")
def test_two_columns_of_one_name_are_both_named(case: Case) -> None:
    assert "`amount` (column 4) and `amount` (column 5)" in case.refused("orders")


@of("f11-truncated-gz")
def test_a_cut_file_is_refused_whole(case: Case) -> None:
    assert "is not complete" in case.refused("orders")
    assert case.land("customers").rows_landed == 6


@of("f15-sql-null-words")
def test_words_for_nothing_are_no_customers(case: Case) -> None:
    report = case.land("orders")
    assert (report.rows_landed, report.reasons) == (6, {"customer_id: missing": 7})


@of("f16-blanks-around-ids")
def test_blanks_around_ids_are_trimmed_and_counted(case: Case) -> None:
    assert case.land("orders").repairs == {"customer_id: blanks": 4}
    assert len(case.joined()) == 5


@of("f21-short-years-day-first")
def test_short_years_are_read_day_first(case: Case) -> None:
    case.land("orders")
    assert case.rows("select order_id, ordered_at::varchar from raw_s.orders order by 2, 1") == [
        ("[31/12/24]", "2024-12-31 00:00:00"),
        ("[03/04/25]", "2025-04-03 00:00:00"),
        ("[3-4-2025]", "2025-04-03 00:00:00"),
        ("[03.04.2025 10:15]", "2025-04-03 10:15:00"),
        ("[03/04/2025 10:15:00 PM]", "2025-04-03 22:15:00"),
    ]


@of("f24-json-hour-without-nested-field")
def test_a_nested_field_may_be_missing_for_an_hour(case: Case) -> None:
    case.land("orders")
    for later in sorted(case.folder.glob("*.later")):
        later.rename(later.with_suffix(""))
        assert case.land("orders").rows_landed == 1
    found = case.rows("select order_id, amount, discount from raw_s.orders order by 1")
    assert found == [("A1", 10, 1), ("B1", 20, None), ("D1", None, None)]


@of("f25-parquet-float-ids")
def test_ids_that_became_numbers_join_or_are_refused_by_name(case: Case) -> None:
    lost = "customer_id: more digits than a floating-point number holds: have it exported as text"
    assert case.land("orders").reasons == {"customer_id: missing": 1, lost: 1}
    assert case.joined() == [("O1",), ("O2",), ("O3",), ("O5",)]


@of("f26-parquet-all-null")
def test_the_null_type_is_empty(case: Case) -> None:
    case.land("customers")
    assert case.rows("select count(*), count(city), count(signed_up_at) from raw_s.customers") == [(6, 0, 0)]


@of("f37-quoted-ids-after-sample")
def test_quotes_that_begin_late_are_read(case: Case) -> None:
    assert case.land("orders").rows_landed == 25_000
    assert case.rows("select count(*) from raw_s.orders where contains(order_id || customer_id, '\"')") == [(0,)]


@of("f41-stale-state-wins")
def test_the_later_line_stands(case: Case) -> None:
    case.land("orders")
    assert case.rows("select order_id, amount from raw_s.orders order by 1") == [("O1", 100), ("O2", 20)]


@of("f42-mistyped-column")
def test_a_mistyped_column_is_named_with_what_is_meant(case: Case) -> None:
    assert "no column `customer_id`; did you mean `customerid`?" in case.refused("customers")


@of("f63-lf-lines-appended-to-crlf")
def test_mixed_line_ends_are_read(case: Case) -> None:
    report = case.land("orders")
    assert (report.rows_landed, report.rows_quarantined) == (30_004, 0)


@of("f30-refunds-negative")
def test_credit_notes_are_declared_or_quarantined_with_the_key(case: Case) -> None:
    (reason,) = case.land("orders").reasons
    assert reason == "amount: below 0 (declare credit notes by `cleaning.returns.negative_amounts`)"
    case.document["cleaning"] = {"returns": {"negative_amounts": True}}
    assert case.land("orders").rows_landed == 12
