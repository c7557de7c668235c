"""`holdfast experiments import`: what another system has drawn is taken over whole, or not at all."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from retention.store.store import Store

Call = Callable[..., tuple[int, str]]
LIBRARY = """
strategies:
- id: own_voucher
  name: {en: Voucher, zh: 优惠券}
  tiers: [high, medium]
  channel: email
  valid_days: 14
  modules: [{kind: coupon, amount: 10, take_up: 0.5}]
  effect: {value: 0.1, basis: assumption, source: a test}
  message: {en: "{amount} off for {valid_days} days", zh: "{valid_days} 天内优惠 {amount}"}
  versions:
    - {id: long}
    - {id: short, message: {en: "{amount} off", zh: "优惠 {amount}"}}
"""
HEAD = "customer,experiment,version,assigned_at"


@pytest.fixture
def call(idle_instance: Path, tmp_path: Path) -> Call:
    with (idle_instance / "company.yaml").open("a", encoding="utf-8") as company:
        company.write("strategies: own\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "voucher.yaml").write_text(LIBRARY, encoding="utf-8")

    def call(*rows: str) -> tuple[int, str]:
        (tmp_path / "draw.csv").write_text("\n".join((HEAD, *rows)), encoding="utf-8")
        where = ["--by", "Ann", "--company", str(tmp_path / "company.yaml"), "--home", str(tmp_path / "home")]
        done = CliRunner().invoke(app, ["experiments", "import", str(tmp_path / "draw.csv"), *where])
        return done.exit_code, " ".join(done.output.split())

    return call


def rows_of(long: int, short: int, first: int = 0) -> list[str]:
    versions = ["long"] * long + ["short"] * short
    return [f"c{first + place},own_voucher,{name},2026-01-02T09:00" for place, name in enumerate(versions)]


def test_a_draw_is_taken_over_once_and_counts_from_the_next_day_on(call: Call, tmp_path: Path) -> None:
    assert call(*rows_of(6, 4))[1].startswith("10 assignments imported, 0 were known.")
    assert call(*rows_of(6, 4), *rows_of(1, 1, first=90))[1].startswith("2 assignments imported, 10 were known.")
    with Store(f"sqlite:///{tmp_path / 'home' / 'operational.db'}") as store:
        former, later = (store.assignments.read(day, timezone="UTC") for day in (date(2026, 1, 3), date(2999, 1, 1)))
    assert (former, len(later["own_voucher"]["long"])) == ({}, 7)


def test_customers_that_nobody_has_seen_are_counted(call: Call, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "home" / "warehouse.duckdb")) as connection:
        connection.execute("create schema customer_360")
        connection.execute("create table customer_360.customers as select 'c' || i as customer_id from range(7) n(i)")
    assert "3 of these customers are not known" in call(*rows_of(6, 4))[1]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["c1,other,long,2026-01-02"], "Row 2: 'other' is no strategy with versions; those are: own_voucher."),
        (["c1,own_voucher,tall,2026-01-02"], "Row 2: 'tall' is no version of own_voucher; it has long, short."),
        (["c1,own_voucher,long,yesterday"], "Row 2: assigned_at is 'yesterday'"),
        (["c1,own_voucher,long,2999-01-01"], "Row 2: assigned_at lies in the future"),
        (["c1,own_voucher,,2026-01-02"], "Row 2: version is empty"),
        ([*rows_of(1, 1), "c0,own_voucher,short,2026-01-02"], "Row 4: the customer has the version long"),
        (rows_of(90, 10), "The sizes of the versions of own_voucher are long 90, short 10, by their weights long 50"),
    ],
)
def test_a_draw_that_cannot_be_right_is_refused_whole(rows: list[str], reason: str, call: Call, tmp_path: Path) -> None:
    code, output = call(*rows)
    assert (code, reason in output, output.endswith("Nothing was imported.")) == (2, True, True)
    with Store(f"sqlite:///{tmp_path / 'home' / 'operational.db'}") as store:
        assert store.assignments.read_versions() == {}
