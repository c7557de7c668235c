"""Labels against the truth where feeds are faulty: what cannot be known is unknown, and never churned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from simulator.parameters import INDUSTRIES
from tests.dbt_project.conftest import SIMULATED_ZONE, Build, feeds_of, moment_of

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

Tables = dict[str, pd.DataFrame]
LABELS = ["+feed_coverage", "+int_customers_dated", "+int_subscriptions_dated", "churn_outcomes", "churn_labels"]
INACTIVITY = {"definition": "inactivity", "active_within_days": 30, "horizon_days": 30, "lead_days": 0}
ACCOUNT = {"definition": "account_closed", "active_within_days": 30, "horizon_days": 30, "lead_days": 0}
MONTHS = ["2025-03-01", "2025-04-01", "2025-05-01", "2025-06-01", "2025-07-01"]
AS_OF = "2025-08-01"


def shop(*, closed_on: Sequence[str] = (), weekdays: Sequence[int] = range(7)) -> Tables:
    """A shop of 150 customers who buy at rhythms of their own from January to July and may stop for good."""
    rng = np.random.default_rng(7)
    frames = []
    for number in range(150):
        leaves = rng.exponential(200)
        days = np.cumsum(rng.gamma(2, rng.uniform(1, 9), 200))
        moments = pd.Timestamp("2025-01-01 09:00") + pd.to_timedelta(days[days < min(leaves, 212)].round(), unit="D")
        frames.append(pd.DataFrame({"customer_id": f"c{number:03d}", "ordered_at": moments}))
    orders = pd.concat(frames, ignore_index=True)
    is_open = orders["ordered_at"].dt.dayofweek.isin(list(weekdays))
    orders = orders[is_open & ~orders["ordered_at"].dt.strftime("%F").isin(closed_on)].reset_index(drop=True)
    orders = orders.assign(order_id=[f"o{number:05d}" for number in range(len(orders))], amount=10.0)
    return {"customers": orders[["customer_id"]].drop_duplicates(), "orders": orders}


def prefix(tables: Tables, name: str) -> Tables:
    """The same company with ids that carry its name."""
    ids = ("customer_id", "order_id")
    return {
        table: rows.assign(**{each: f"{name}-" + rows[each] for each in ids if each in rows})
        for table, rows in tables.items()
    }


def side_by_side(companies: Mapping[str, Tables]) -> Tables:
    """Companies in one feed for each table."""
    tables = {table for company in companies.values() for table in company}
    return {name: pd.concat([company[name] for company in companies.values()], ignore_index=True) for name in tables}


def truth(tables: Tables, as_of: str) -> dict[str, bool]:
    """Who of those who bought in the 30 days before bought nothing in the 30 days after."""
    ago = (pd.Timestamp(as_of) - tables["orders"]["ordered_at"].dt.normalize()).dt.days
    who = tables["orders"]["customer_id"]
    after = set(who[(ago <= 0) & (ago > -30)])
    return {one: one not in after for one in sorted(set(who[(ago > 0) & (ago <= 30)]))}


def labelled(
    new_warehouse: Build,
    tables: Tables,
    *,
    was: Tables | None = None,
    months: Sequence[str] = MONTHS,
    churn: Mapping[str, object] = INACTIVITY,
    **variables: object,
) -> "Warehouse":
    """The labels of snapshots that were built while the feeds were as they `was`."""
    company, known = {"raw_shop": tables}, (was or tables)["customers"]
    return label(new_warehouse(company), company, known=known, months=months, churn=churn, **variables)


def label(
    warehouse: "Warehouse",
    company: Mapping[str, Tables],
    *,
    known: pd.DataFrame,
    months: Sequence[str] = MONTHS,
    **variables: object,
) -> "Warehouse":
    """The labels of snapshots of the customers that were known when they were built."""
    ids = ", ".join(f"('{who}')" for who in known["customer_id"])
    days = ", ".join(f"(date '{month}')" for month in months)
    warehouse.execute(
        "create schema features",
        f"create table features.customer_features as "
        f"from (values {days}) as days(as_of), (values {ids}) as customers(customer_id)",
    )
    settings = {"timezone": "UTC", "as_of": AS_OF, "churn": INACTIVITY} | variables
    warehouse.dbt("run", "--select", *LABELS, feeds=feeds_of(company), **settings)
    return warehouse


def labels_of(warehouse: "Warehouse") -> dict[str, dict[str, bool | None]]:
    found = warehouse.query(
        "select cast(as_of as varchar) as as_of, customer_id, churned from features.churn_labels order by all"
    )
    labels: dict[str, dict[str, bool | None]] = {}
    for as_of, who, churned in found.itertuples(index=False):
        labels.setdefault(as_of, {})[who] = None if pd.isna(churned) else bool(churned)
    return labels


def known_months(labels: Mapping[str, Mapping[str, bool | None]]) -> list[str]:
    states = {month: {churned is None for churned in who.values()} for month, who in labels.items()}
    assert all(len(state) == 1 for state in states.values()), "a snapshot is known as a whole or not at all"
    return [month for month, state in states.items() if state == {False}]


def between(tables: Tables, first: str, last: str) -> pd.Series:
    return tables["orders"]["ordered_at"].between(first, f"{last} 23:59")


def test_without_a_fault_every_label_is_the_truth(new_warehouse: Build) -> None:
    tables = shop()
    labels = labels_of(labelled(new_warehouse, tables))
    assert labels == {month: truth(tables, month) for month in MONTHS}
    assert all(set(who.values()) == {True, False} for who in labels.values())


@pytest.mark.parametrize(
    ("first", "last", "known"),
    [
        ("2025-05-01", "2025-05-31", ["2025-03-01", "2025-04-01", "2025-07-01"]),
        ("2025-04-10", "2025-04-13", ["2025-03-01", "2025-06-01", "2025-07-01"]),
        ("2025-07-10", "2025-08-01", ["2025-03-01", "2025-04-01", "2025-05-01", "2025-06-01"]),
    ],
    ids=["a month", "four days", "the end"],
)
def test_windows_that_reach_into_missing_days_are_unknown_and_the_others_are_the_truth(
    new_warehouse: Build, first: str, last: str, known: list[str]
) -> None:
    whole = shop()
    lacking = whole | {"orders": whole["orders"][~between(whole, first, last)]}
    warehouse = labelled(new_warehouse, lacking, was=whole)
    labels = labels_of(warehouse)
    assert known_months(labels) == known
    assert {month: labels[month] for month in known} == {month: truth(whole, month) for month in known}
    missing = warehouse.query(
        "select cast(paused_from as varchar), cast(paused_until - 1 as varchar) "
        "from bookkeeping.feed_pauses where is_missing"
    )
    assert missing.to_numpy().tolist() == [[first, min(last, "2025-07-31")]]


def test_a_row_of_the_future_teaches_nothing(new_warehouse: Build) -> None:
    whole = shop()
    future = (
        whole["orders"]
        .iloc[[0, 1]]
        .assign(order_id=["f1", "f2"], ordered_at=pd.to_datetime(["2031-01-01", "2025-12-24"]))
    )
    spoilt = whole | {"orders": pd.concat([whole["orders"], future], ignore_index=True)}
    months = [*MONTHS, "2025-07-20", AS_OF, "2025-10-01", "2025-12-01"]
    warehouse = labelled(new_warehouse, spoilt, months=months, as_of="2025-12-01")
    labels = labels_of(warehouse)
    assert known_months(labels) == MONTHS
    assert {month: labels[month] for month in MONTHS} == {month: truth(whole, month) for month in MONTHS}
    rows = warehouse.query("select count_rows_later, cast(last_date as varchar) from bookkeeping.feed_coverage")
    assert rows.to_numpy().tolist() == [[1, "2025-12-24"]]


def test_customers_who_vanished_upstream_are_no_churners(new_warehouse: Build) -> None:
    whole = {name: prefix(shop(), name) for name in ("unlisted", "gone", "silent")}
    lacking = {"unlisted": {"customers"}, "gone": {"customers", "orders"}, "silent": {"orders"}}
    vanished = {who for tables in whole.values() for who in tables["customers"]["customer_id"].iloc[::10]}
    left = {
        name: {table: rows[~rows["customer_id"].isin(vanished if table in lacking[name] else ())]
               for table, rows in tables.items()}
        for name, tables in whole.items()
    }  # fmt: skip
    was, spoilt = (side_by_side(companies) for companies in (whole, left))
    expected = {month: {w: c for w, c in truth(was, month).items() if w not in vanished} for month in MONTHS}
    assert labels_of(labelled(new_warehouse, spoilt, was=was)) == expected


def test_days_on_which_a_shop_is_closed_as_a_rule_for_a_holiday_or_as_declared_lack_nothing(
    new_warehouse: Build,
) -> None:
    holidays, summer = ["2025-04-18", "2025-04-19"], [f"2025-05-{day:02d}" for day in range(5, 20)]
    trading = shop(closed_on=[*holidays, *summer], weekdays=range(5))
    expected = {month: truth(trading, month) for month in MONTHS}
    undeclared, known = labels_of(labelled(new_warehouse, trading)), ["2025-03-01", "2025-04-01", "2025-07-01"]
    assert known_months(undeclared) == known
    assert {month: undeclared[month] for month in known} == {month: expected[month] for month in known}
    closed = [{"from": "2025-05-05", "until": "2025-05-19"}]
    assert labels_of(labelled(new_warehouse, trading, closed=closed)) == expected


def test_knowledge_ends_with_the_feed_that_ends_first_unless_it_is_declared_to_have_ended(
    new_warehouse: Build,
) -> None:
    whole = shop()
    is_old = whole["orders"]["order_id"] < "o02000"
    old = whole["orders"][is_old & between(whole, "2025-01-01", "2025-05-20")]
    feeds = {"raw_shop": whole | {"orders": whole["orders"][~is_old]}, "raw_old": {"orders": old}}
    warehouse = label(new_warehouse(feeds), feeds, known=whole["customers"])
    assert known_months(labels_of(warehouse)) == ["2025-03-01", "2025-04-01"]
    settings = {"churn": INACTIVITY, "timezone": "UTC", "as_of": AS_OF, "feeds": feeds_of(feeds)}
    warehouse.dbt("run", "--select", *LABELS, feeds_ended={"raw_old.orders": "2025-05-20"}, **settings)
    assert known_months(labels_of(warehouse)) == MONTHS


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Companies side by side, their ids carry their names: labels while all is whole, and of what faults left."""

    true: dict[str, dict[str, bool | None]]
    faulty: dict[str, dict[str, bool | None]]
    gone: set[str]


@pytest.fixture(scope="module")
def twins(simulated: Mapping[str, Tables], new_warehouse: Build) -> dict[str, Twin]:
    """A month is missing, a row of each feed is of the future and a tenth of the customers vanished, all at once."""
    return {
        name: twin
        for names, table, moment, churn in (
            (["retail", "ecommerce"], "orders", "ordered_at", INACTIVITY),
            (["finance", "telecom", "saas"], "subscriptions", "started_at", ACCOUNT),
        )
        for name, twin in pair(simulated, new_warehouse, names, table=table, moment=moment, churn=churn).items()
    }


def pair(
    simulated: Mapping[str, Tables],
    new_warehouse: Build,
    names: Sequence[str],
    *,
    table: str,
    moment: str,
    churn: Mapping[str, object],
) -> dict[str, Twin]:
    whole = {f"raw_{name}": {each: simulated[f"raw_{name}"][each] for each in ("customers", table)} for name in names}
    gone = {who for tables in whole.values() for who in tables["customers"]["customer_id"].iloc[::10]}
    spoilt = {schema: spoil(tables, table, moment, gone) for schema, tables in whole.items()}
    settings = {"months": ["2025-03-01", "2025-05-01", "2025-06-01"], "churn": churn, "timezone": SIMULATED_ZONE}
    settings |= {"as_of": "2025-07-01", "known": pd.concat([tables["customers"] for tables in whole.values()])}
    true, faulty = (labels_of(label(new_warehouse(feeds), feeds, **settings)) for feeds in (whole, spoilt))
    return {name: Twin(true=part(true, name), faulty=part(faulty, name), gone=gone) for name in names}


def part(labels: Mapping[str, Mapping[str, bool | None]], industry: str) -> dict[str, dict[str, bool | None]]:
    mine = {month: {w: c for w, c in who.items() if w.startswith(f"{industry}-")} for month, who in labels.items()}
    return {month: who for month, who in mine.items() if who}


def spoil(whole: Tables, table: str, moment: str, gone: set[str]) -> Tables:
    left = {name: rows[~rows["customer_id"].isin(gone)] for name, rows in whole.items()}
    first, last = (moment_of(day, SIMULATED_ZONE) for day in ("2025-05-01", "2025-06-01"))
    future = left[table].iloc[[0]].assign(**{moment: pd.Timestamp("2031-01-01")})
    future[f"{table[:-1]}_id"] += "-later"
    rows = left[table][~left[table][moment].between(first, last)] if table == "orders" else left[table]
    return left | {table: pd.concat([rows, future], ignore_index=True)}


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_simulated_companies_of_every_industry_keep_to_the_truth(twins: Mapping[str, Twin], industry: str) -> None:
    twin = twins[industry]
    known = ["2025-03-01"] if industry in {"retail", "ecommerce"} else known_months(twin.true)
    assert known_months(twin.faulty) == known
    for month in known:
        expected = {who: churned for who, churned in twin.true[month].items() if who not in twin.gone}
        assert twin.faulty[month] == expected != {}
