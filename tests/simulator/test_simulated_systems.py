"""What the company's systems hold: the same for a seed, in real shapes, with every defect declared."""

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.calendar import DAY_MS, HOUR_MS, Calendar
from simulator.cli import main
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.story import simulate
from simulator.systems.texts import Phrasebook

Query = Callable[[str], list[tuple[Any, ...]]]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        simulate(load_parameters("ecommerce"), tmp_path / name, customers=60, months=1, seed=seed)
    first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))

    assert first == again
    same = {name for name in first if other.get(name) == first[name]}
    assert not any(name.startswith(("truth/", "sources/database/", "sources/clicks/")) for name in same)


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_every_industry_writes_its_systems(industry: str, tmp_path: Path) -> None:
    summary = simulate(load_parameters(industry), tmp_path, customers=40, months=1, seed=0)
    tables = {path.name.removesuffix(".parquet") for path in (tmp_path / "sources" / "database").iterdir()}
    expected = {"crm.account", "crm.id_xref", "crm.consent_log", "oms.sales_order"}
    if industry in {"retail", "ecommerce"}:
        expected |= {"oms.sales_order_item", "oms.item_master"}
    else:
        expected |= {"bill.contract", "bill.meter_reading"}
    if industry == "ecommerce":
        expected |= {"oms.shipment", "crm.referral"}
    if industry == "saas":
        expected |= {"bill.invoice"}

    assert tables == expected
    assert summary.customers == 40
    assert {path.name for path in (tmp_path / "sources").iterdir()} == {"database", "desk", "clicks", "marketing"}
    assert {path.name for path in (tmp_path / "sources" / "desk").iterdir()} == {
        "tickets.parquet",
        "surveys.parquet",
        "users.parquet",
    }


def test_a_folder_that_holds_a_world_is_refused(telecom: Path) -> None:
    with pytest.raises(FileExistsError, match="name an empty folder"):
        simulate(load_parameters("telecom"), telecom, customers=10, months=1, seed=0)


def test_the_command_line_puts_the_company_file_beside_the_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--industry", "saas", "--customers", "30", "--months", "1", "--out", str(tmp_path)]

    assert main(asked) == 0
    assert "30 customers" in capsys.readouterr().out
    assert (tmp_path / "company.yaml").read_text(encoding="utf-8").startswith("# Lantern Desk")
    assert main(asked) == 1
    assert "exists already" in capsys.readouterr().err


def test_an_unknown_industry_is_named() -> None:
    with pytest.raises(ValueError, match="no industry 'shipping'; choose one of retail"):
        load_parameters("shipping")


def test_click_lines_are_the_events_and_the_declared_extra_lines(asked_retail: Query) -> None:
    extra = "kind in ('duplicate_click', 'repeated_line', 'test_row') and \"table\" = 'clicks'"
    lines = asked_retail("select count(*), count(distinct eid) from clicks")[0]
    declared = dict(asked_retail(f"select kind, count(*) from '{{truth}}/defects.parquet' where {extra} group by 1"))
    counted = asked_retail("select counts.events from '{truth}/world.json'")[0][0]

    assert lines[0] == counted + sum(declared.values())
    assert lines[0] - lines[1] == declared["repeated_line"]
    assert asked_retail("select count(*) from clicks where uid like 'QA%'")[0][0] == declared["test_row"]


def test_a_duplicate_click_repeats_its_first_within_half_a_second(asked_retail: Query) -> None:
    rows = asked_retail("""
        with stamped as (
            select distinct eid, uid, act, sid, case when regexp_full_match(ts, '[0-9]+') then epoch_ms(ts::bigint)
                else ts::timestamptz at time zone 'UTC' end as at from clicks
        )
        select count(*), bool_and(a.uid = b.uid and a.act = b.act and a.sid = b.sid
            and b.at - a.at between interval 1 millisecond and interval 450 millisecond)
        from '{truth}/defects.parquet' d join stamped a on d.clean = a.eid join stamped b on d.dirty = b.eid
        where kind = 'duplicate_click'
    """)
    declared = asked_retail("select count(*) from '{truth}/defects.parquet' where kind = 'duplicate_click'")

    assert rows == [(declared[0][0], True)]


def test_only_declared_rows_lie_in_the_file_of_a_later_hour_and_at_most_three_days(asked_retail: Query) -> None:
    rows = asked_retail("""
        with placed as (
            select eid, strptime(regexp_extract(filename, '([0-9]{{8}}-[0-9]{{2}}).jsonl', 1), '%Y%m%d-%H') as hour,
                date_trunc('hour', case when regexp_full_match(ts, '[0-9]+') then epoch_ms(ts::bigint)
                    else ts::timestamptz at time zone 'UTC' end) as happened from clicks
        ), late as (
            select eid from placed where hour <> happened
        )
        select (select count(*) from placed where hour < happened or hour > happened + interval 72 hour),
            (select count(*) from (from late except select row_key from '{truth}/defects.parquet'
                where kind in ('late_row', 'repeated_line'))),
            (select count(*) from (
                select row_key from '{truth}/defects.parquet' where kind = 'late_row' except from late))
    """)

    assert rows == [(0, 0, 0)]


HELD = {
    ("impossible_value", "oms.sales_order"): "'{db}/oms.sales_order.parquet' where paid_amt < 0 or paid_amt > 1e6",
    ("test_row", "oms.sales_order"): "'{db}/oms.sales_order.parquet' where memo = 'test order'",
    ("enum_variant", "oms.sales_order"): """
        '{db}/oms.sales_order.parquet'
        where sales_channel not in ('app', 'web', 'mini-program', 'store') and memo is null
    """,
    ("missing_tag", "crm.account"): "'{db}/crm.account.parquet' where pref_tag is null and acct_no not like 'QA%'",
    ("enum_variant", "crm.account"): "'{db}/crm.account.parquet' where sex_cd not in ('M', 'F')",
    ("impossible_value", "crm.account"): "'{db}/crm.account.parquet' where birth_dt < '1900'",
    ("enum_variant", "desk.tickets"): """
        '{desk}/tickets.parquet' where via not in ('phone', 'chat', 'e-mail', 'store')
    """,
    ("impossible_value", "desk.tickets"): "'{desk}/tickets.parquet' where csat not between 1 and 5",
    ("unlinked_user", "desk.users"): "'{desk}/users.parquet' where ref is null",
    ("mixed_time", "marketing.sends"): """
        read_csv('{drops}/sends-*.csv', all_varchar = true) where not regexp_full_match(sent_at, '....-..-.. ..:..')
    """,
    ("mixed_time", "clicks"): "(select distinct eid from clicks where not ts like '%Z')",
    ("enum_variant", "clicks"): """
        (select distinct eid from clicks where src not in ('app', 'web', 'mini-program') and uid not like 'QA%')
    """,
}


@pytest.mark.parametrize(("kind", "table"), list(HELD))
def test_the_ledger_counts_what_the_files_hold(kind: str, table: str, asked_retail: Query) -> None:
    where = f"kind = '{kind}' and \"table\" = '{table}'"
    declared = asked_retail(f"select count(*) from '{{truth}}/defects.parquet' where {where}")[0][0]
    held = asked_retail(f"select count(*) from {HELD[kind, table]}")[0][0]

    assert held == declared
    assert declared > 0


def test_a_declared_value_is_what_the_file_holds_and_what_was_true(asked_retail: Query) -> None:
    rows = asked_retail("""
        select count(*), bool_and(d.dirty = o.sales_channel),
            bool_and(d.clean in ('app', 'web', 'mini-program', 'store'))
        from '{truth}/defects.parquet' d join '{db}/oms.sales_order.parquet' o on d.row_key = o.order_no
        where kind = 'enum_variant' and "table" = 'oms.sales_order'
    """)

    assert rows[0][0] > 0
    assert rows[0][1:] == (True, True)


def test_people_of_one_household_share_a_telephone_and_nothing_else_is_shared(asked_retail: Query) -> None:
    shared = asked_retail("""
        select count(distinct i.household), count(distinct i.person_id) from '{db}/crm.account.parquet' a
        join '{truth}/identity.parquet' i on a.acct_no = i.account where a.mobile_no is not null
        group by regexp_replace(replace(a.mobile_no, '-', ''), '^\\+86 ', '') having count(distinct i.person_id) > 1
    """)

    assert shared
    assert set(shared) == {(1, 2)}


def test_a_second_account_belongs_to_the_person_of_the_first(asked_telecom: Query) -> None:
    rows = asked_telecom("""
        select count(*), bool_and(i.person_id = d.clean) from '{truth}/defects.parquet' d
        join '{truth}/identity.parquet' i on i.account = d.dirty where kind = 'duplicate_identity'
    """)

    assert rows[0][0] > 0
    assert rows[0][1] is True


def test_orders_of_a_shop_add_up_to_their_lines(asked_retail: Query) -> None:
    wrong = asked_retail("""
        select count(*) from (
            select order_no, any_value(paid_amt) as paid, any_value(line_cnt) as lines, sum(line_amt) as total,
                count(*) as held
            from '{db}/oms.sales_order.parquet' o join '{db}/oms.sales_order_item.parquet' i using (order_no)
            where paid_amt between 0 and 1e6 group by 1
        ) where abs(paid - total) > 0.011 or lines <> held
    """)

    assert wrong == [(0,)]


def test_every_online_purchase_leaves_its_path_in_the_click_log(asked_retail: Query) -> None:
    paid = asked_retail("""
        select count(*) from '{db}/oms.sales_order.parquet' o join '{truth}/identity.parquet' on acct_no = account
        where order_stat <> 'FAIL' and memo is null and not exists (
            from '{truth}/defects.parquet'
            where row_key = o.order_no and "column" = 'sales_channel' and clean = 'store')
        and sales_channel <> 'store'
    """)[0][0]
    twice = "select dirty from '{truth}/defects.parquet' where kind = 'duplicate_click'"
    first = f"uid not like 'QA%' and eid not in ({twice})"
    seen = asked_retail(f"select count(distinct eid) from clicks where act = 'pay' and {first}")[0][0]
    refunds = asked_retail("select count(*) from '{db}/oms.sales_order.parquet' where order_stat = 'REFUND'")[0][0]

    assert paid - refunds <= seen <= paid


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_customers_write_finished_sentences_in_both_languages(industry: str) -> None:
    parameters = load_parameters(industry)
    phrases, count = Phrasebook(parameters), 200
    rng = np.random.default_rng(0)
    topic = rng.integers(0, len(parameters.service.topics), count)
    english, complaint = np.arange(count) % 2 == 1, rng.random(count) < 0.5
    written = phrases.tickets(
        topic, complaint=complaint, english=english, draw=rng.integers(0, 10**6, count)
    ).to_pylist()

    assert not any("{" in text for text in written)
    assert [text.isascii() for text in written] == english.tolist()


def test_local_time_follows_the_zones_clock_changes() -> None:
    calendar = Calendar(start=date(2025, 1, 1), count=12, timezone="Europe/Berlin")
    winter, summer = (np.array([calendar.origin_ms + day * DAY_MS + 12 * HOUR_MS]) for day in (10, 200))

    assert winter - calendar.to_utc(winter) == HOUR_MS
    assert summer - calendar.to_utc(summer) == 2 * HOUR_MS
    assert (calendar.days, calendar.months[1].first, calendar.months[2].offset) == (365, date(2025, 2, 1), 59)
