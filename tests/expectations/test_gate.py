"""The gate itself: it asks inside DuckDB, answers with keys, writes its pages and lets go of the file."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from expectations import plans
from expectations.gate import (
    Finding,
    GateError,
    Suite,
    Verdict,
    describe,
    expect_filled,
    expect_mean,
    expect_none,
    expect_rows,
    find_rules,
    run_gate,
)

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

ORDERS = "raw_shop.orders"
WRITE = "import duckdb; duckdb.connect({!r}).execute('create table main.written as select 1')"
Spoil = Callable[[str], None]
Judge = Callable[[Sequence[Suite]], Verdict]
Read = Callable[[], str]
Run = Callable[[str], str]


def suite(*expectations: "Expectation", table: str = ORDERS, **more: str) -> Suite:
    return Suite(seam="sources", table=table, expectations=expectations, **more)


def test_what_holds_passes_with_what_was_seen(judge: Judge) -> None:
    verdict = judge([suite(expect_rows(), expect_mean("amount", low=99, high=100))])
    assert verdict.passed
    assert set(verdict.findings) == {
        Finding(
            table=ORDERS,
            expectation="expect_table_row_count_to_be_between",
            column=None,
            passed=True,
            expected="the table has at least 1 rows",
            observed="200",
        ),
        Finding(
            table=ORDERS,
            expectation="expect_column_mean_to_be_between",
            column="amount",
            passed=True,
            expected="the mean lies between 99 and 100",
            observed="99.5",
        ),
    }


def test_what_does_not_hold_fails_with_the_keys_of_its_offenders(spoil: Spoil, judge: Judge) -> None:
    spoil(f"update {ORDERS} set amount = null where order_id in ('o3', 'o7')")
    verdict = judge([suite(expect_filled("amount", key=("customer_id", "order_id")))])
    assert not verdict.passed
    assert verdict.failures == (
        Finding(
            table=ORDERS,
            expectation="value_is_present",
            column="amount",
            passed=False,
            expected="amount is never missing",
            observed="2 rows: customer id c3, order id o3; customer id c7, order id o7",
            count_offenders=2,
            offenders=("c3, o3", "c7, o7"),
        ),
    )


def test_all_offenders_are_counted_and_the_first_are_shown(judge: Judge) -> None:
    found = judge([suite(expect_none("nobody", "select order_id from {batch}", says="nobody"))]).failures[0]
    assert (found.count_offenders, len(found.offenders)) == (200, 20)


def test_offenders_that_are_columns_are_outcomes_of_their_own(judge: Judge) -> None:
    query = "select 'amount' as column_name, 3 as measured from {batch} union select 'discount', 4 from {batch}"
    failures = judge([suite(expect_none("sound", query, says="sound"))]).failures
    assert [(failure.column, failure.observed) for failure in failures] == [
        ("amount", "measured 3"),
        ("discount", "measured 4"),
    ]


def test_a_sentence_says_where_what_should_be_what_is_and_what_to_do(spoil: Spoil, judge: Judge) -> None:
    spoil(f"update {ORDERS} set amount = null where order_id in ('o3', 'o7', 'o8', 'o9')")
    seen = "select format('{{:,}} rows', count(*)) as observed from {batch} having count(*) > 100"
    small = expect_none("table_is_small", seen, says="the table has at most 100 rows", remedy="Archive some.")
    assert describe(judge([suite(expect_filled("amount", key=("order_id",)), small)]).findings) == [
        "raw_shop.orders: expected that the table has at most 100 rows (table_is_small), found 200 rows. Archive some.",
        (
            "raw_shop.orders.amount: expected that amount is never missing (value_is_present), found 4 rows: "
            "order id o3; order id o7; order id o8 and 1 more."
        ),
    ]


def test_columns_that_fail_together_are_one_sentence(judge: Judge) -> None:
    query = " union ".join(f"select 'f{n}' as column_name, {n} as measured from {{batch}}" for n in range(1, 48))
    assert describe(judge([suite(expect_none("sound", query, says="all are sound"))]).findings) == [
        (
            "raw_shop.orders: expected that all are sound (sound), found 47 columns: "
            "f1 (measured 1); f10 (measured 10); f11 (measured 11) and 44 more."
        )
    ]


def test_a_new_rule_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = "from expectations.gate import expect_rows\n\ndef expect(context):\n    yield expect_rows(low=context)\n"
    (tmp_path / "enough.py").write_text(rule, encoding="utf-8")
    monkeypatch.setattr(plans, "__path__", [str(tmp_path)])
    assert [(table, rule.min_value) for table, rule in find_rules("expectations.plans", 7)] == [(None, 7)]


def test_a_suite_judges_only_the_rows_it_is_asked_about(judge: Judge) -> None:
    few = suite(expect_rows(low=5, high=5), where="customer_id = 'c1'")
    assert judge([few]).passed


def test_suites_can_be_judged_again(judge: Judge) -> None:
    suites = [suite(expect_rows())]
    assert judge(suites) == judge(suites)


def test_a_profile_is_judged_in_place_of_its_table(judge: Judge) -> None:
    profile = suite(expect_rows(high=1), profile=f"select count(*) as row_count from {ORDERS}")
    assert judge([profile]).passed


def test_a_column_that_does_not_exist_fails_and_is_named(judge: Judge) -> None:
    failure = judge([suite(expect_filled("discount", key=("order_id",)), expect_rows())]).failures
    assert [(one.column, 'Referenced column "discount" not found' in one.observed) for one in failure] == [
        ("discount", True)
    ]


def test_a_table_that_does_not_exist_closes_the_gate(judge: Judge) -> None:
    verdict = judge([suite(expect_rows(), table="raw_shop.returns")])
    assert [("returns does not exist" in one.observed) for one in verdict.failures] == [True]


def test_a_profile_that_cannot_be_computed_is_an_error_that_names_its_table(
    judge: Judge, database: Path, python: Run
) -> None:
    broken = suite(expect_rows(), profile="select zork from raw_shop.orders")
    with pytest.raises(GateError, match=r"sources gate could not read raw_shop.orders: .*zork"):
        judge([broken])
    assert python(WRITE.format(str(database))) == ""


def test_a_gate_without_a_warehouse_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="run the stage before it first"):
        run_gate([suite(expect_rows())], database=tmp_path / "none.duckdb", docs=tmp_path)


def test_a_gate_stands_at_one_seam(judge: Judge) -> None:
    other = Suite(seam="plans", table=ORDERS, expectations=[expect_rows()])
    with pytest.raises(GateError, match=r"\['plans', 'sources'\]"):
        judge([suite(expect_rows()), other])


def test_another_process_can_write_to_the_warehouse_afterwards(judge: Judge, database: Path, python: Run) -> None:
    profile = suite(expect_rows(), profile=f"select count(*) as row_count from {ORDERS}")
    judge([suite(expect_rows(low=1000)), profile])
    assert python(WRITE.format(str(database))) == ""


def test_the_gate_only_reads_so_that_another_reader_does_not_stop_it(judge: Judge, database: Path) -> None:
    program = (
        f"import duckdb; held = duckdb.connect({str(database)!r}, read_only=True); print('open', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=PIPE, stdout=PIPE, text=True) as reader:
        opened = reader.stdout.readline()
        profile = suite(expect_rows(), profile=f"select count(*) as row_count from {ORDERS}")
        verdict = judge([suite(expect_rows()), profile])
        reader.communicate("done")
    assert (opened, verdict.passed) == ("open\n", True)


def test_the_pages_show_the_failed_expectation_and_its_offenders(
    spoil: Spoil, judge: Judge, docs: Path, read_pages: Read
) -> None:
    spoil(f"update {ORDERS} set amount = null where order_id = 'o3'")
    verdict = judge([suite(expect_filled("amount", key=("order_id",)))])
    assert verdict.docs_page == docs / "sources" / "index.html"
    assert verdict.docs_page.exists()
    assert "amount is never missing" in read_pages()
    assert "1 offenders: order_id o3" in read_pages()


def test_the_pages_of_a_seam_replace_its_former_ones_only(judge: Judge, docs: Path) -> None:
    for name in ("sources", "plans"):
        judge([Suite(seam=name, table=ORDERS, expectations=[expect_rows()])])
    judge([suite(expect_rows(), table="raw_shop.identities")])
    assert {page.name for page in docs.iterdir()} == {"sources", "plans"}
    assert not list((docs / "sources").rglob("*orders*"))


def test_a_browser_fetches_nothing_from_elsewhere_for_the_pages(judge: Judge, read_pages: Read) -> None:
    judge([suite(expect_rows())])
    fetched = re.findall(r"<(?:script|link|img|iframe)[^>]*https?://[^>]*>|url\(.?https?:|@import", read_pages())
    assert fetched == []


def test_gates_are_cheap_to_load_and_bring_the_library_only_when_asked(python: Run) -> None:
    loaded = python(
        "import sys, expectations.sources, expectations.customer_360, expectations.features, expectations.scores, "
        "expectations.plans; print('great_expectations' in sys.modules)"
    )
    assert loaded == "False\n"
