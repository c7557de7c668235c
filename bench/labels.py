"""Whether labels stay true where feeds are faulty: five simulated companies, one fault at a time, and refunds.

`make bench TOPIC=labels` writes bench/results/labels.json; `python -m bench.labels [--industry NAME] [--seed N]` a
part of it. Each company lives eight months, is landed from its real systems and labelled by `inactivity`. Then a month
of orders is taken away, or rows of the future come in, or a tenth of the customers vanish, or orders are refunded by
credit notes and by status. The truth is counted by hand over the purchases before the fault, net of refunds: a label is
unknown where its window or the days before it are missing, and equal to the truth where it is known. Days without a
row next to a missing month may be missing too, so that labels over them are given up. A fault is named
where the tables that a person is shown name it: missing days, rows of the future, rows of unknown customers, returns.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import yaml

from bench.figures import Figure, at_least, at_most, record, without_bar
from bench.worlds import SECRETS, land_world, write_company
from company.industries import load_industry
from company.policy import load_policy
from ingestion.known import count_known
from ingestion.readers import load_company
from orchestration.dbt import PROJECT, read_variables, write_run
from simulator.calendar import shift
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.serve import serve
from simulator.story import simulate

CUSTOMERS, MONTHS = 300, 8
FIRST = date(2025, 1, 1)
AS_OF = shift(FIRST, MONTHS)
SNAPSHOTS = tuple(shift(FIRST, month) for month in range(2, MONTHS))
ACTIVE, HORIZON = 60, 30  # days
GONE_MONTH = date(2025, 5, 1)
CHURN = {"definition": "inactivity", "active_within_days": ACTIVE, "horizon_days": HORIZON}
RETURNS = {"negative_amounts": True, "refunded_status": True}
MODELS = ("+feed_coverage", "+int_customers_dated", "+churn_outcomes")
PURCHASES = """
    select orders.order_id, orders.customer_id, orders.ordered_date as day, orders.amount, orders.status
    from staging.stg_orders as orders
    semi join intermediate.int_customers_dated using (customer_id)
    where orders.amount > 0 and coalesce(orders.status, 'paid') not in ('failed', 'cancelled')
"""
Labels = dict[tuple[date, str], bool | None]


@dataclass(frozen=True)
class Company:
    """One simulated company: its file, the warehouse with its raw rows, and the raw tables of orders and customers."""

    folder: Path
    file: Path
    orders: str
    customers: tuple[str, ...]

    def spoil(self, name: str, *statements: str) -> Path:
        """Return the home of a copy of the warehouse after `statements`."""
        home = self.folder / name
        home.mkdir()
        shutil.copy(self.folder / "warehouse.duckdb", home / "warehouse.duckdb")
        with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.execute("create schema if not exists features")
            connection.execute(
                "create table features.customer_features as select as_of, customer_id from "
                "(select unnest($days::date[]) as as_of) cross join known_before",
                {"days": list(SNAPSHOTS)},
            )
        return home


def make_company(industry: str, folder: Path, *, seed: int) -> Company:
    """Simulate a company, serve its systems and land its customers and orders."""
    world = folder / "world"
    simulate(load_parameters(industry), world, customers=CUSTOMERS, months=MONTHS, seed=seed)
    with serve(world) as (environment, _):
        file = write_company(industry, world, environment["DESK_URL"])
        document = yaml.safe_load(file.read_text())
        document["tables"] = {name: document["tables"][name] for name in ("customers", "orders")}
        document |= {"churn": CHURN, "churn_also": []}
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        land_world(file, folder / "warehouse.duckdb", {**SECRETS, **environment}, end=AS_OF)
    feeds = load_company(file).feeds()
    customers = tuple(f"{schema}.customers" for schema in feeds["customers"])
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        lists = " union ".join(f"select customer_id from {each}" for each in customers)
        connection.execute(f"create table known_before as {lists}")
    return Company(folder, file, f"{feeds['orders'][0]}.orders", customers)


def label(company: Company, home: Path, *, returns: Mapping[str, bool] | None = None) -> Labels:
    """Return the labels of a warehouse, built by dbt."""
    declared = load_company(company.file)
    policy = load_policy(load_industry(declared.industry).policy, declared.policy)
    variables = read_variables(declared, policy)
    if returns:
        variables["company_cleaning"] = (variables.get("company_cleaning") or {}) | {"returns": dict(returns)}
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", "run", "--no-write-json", "--select", *MODELS]
    command += ["--vars", json.dumps(variables, default=str), "--project-dir", str(PROJECT)]
    command += ["--profiles-dir", str(PROJECT), "--target-path", str(home / "dbt"), "--log-path", str(home / "logs")]
    environment = os.environ | write_run(AS_OF, ()) | {"HOLDFAST_HOME": str(home)}
    subprocess.run(command, check=True, env=environment)
    rows = ask(home, "select as_of, customer_id, churned from features.churn_outcomes where is_main")
    return {(day.date(), who): None if pd.isna(left) else bool(left) for day, who, left in rows.itertuples(index=False)}


def ask(home: Path, query: str) -> pd.DataFrame:
    """Return the rows of a query to the warehouse of `home`."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        return connection.sql(query).df()


def count_by_hand(purchases: pd.DataFrame, *, taken_back: frozenset[str] = frozenset()) -> Labels:
    """Return who of those who bought in the days before a snapshot bought nothing in the days after it."""
    kept = purchases[~purchases["order_id"].isin(taken_back)]
    found: Labels = {}
    day = kept["day"].dt.date
    for as_of in SNAPSHOTS:
        before = kept["customer_id"][(day >= as_of - timedelta(ACTIVE)) & (day < as_of)]
        after = set(kept["customer_id"][(day >= as_of) & (day < as_of + timedelta(HORIZON))])
        found |= {(as_of, who): who not in after for who in set(before)}
    return found


def reaches_into_gap(as_of: date) -> bool:
    """Say whether a snapshot's window, or the days before it that tell who is active, lack the month taken away."""
    return as_of - timedelta(ACTIVE) < shift(GONE_MONTH, 1) and as_of + timedelta(HORIZON) > GONE_MONTH


def sweep(industry: str, *, seed: int) -> Iterator[tuple[str, Labels, Labels, bool]]:
    """Yield, per fault, the labels, the truth (None where it cannot be known), and whether the fault is named."""
    with tempfile.TemporaryDirectory(prefix="holdfast-labels-") as scratch:
        company = make_company(industry, Path(scratch), seed=seed)
        whole = company.spoil("whole")
        found = label(company, whole)
        purchases = ask(whole, PURCHASES)
        truth = count_by_hand(purchases)
        yield "no fault", found, truth, True
        yield _without_a_month(company, truth)
        yield _with_a_future(company, truth)
        yield _with_vanished(company, truth)
        yield _with_refunds(company, purchases)


def _without_a_month(company: Company, truth: Labels) -> tuple[str, Labels, Labels, bool]:
    zone = load_company(company.file).timezone
    first, last = (pd.Timestamp(day, tz=zone).tz_convert("UTC") for day in (GONE_MONTH, shift(GONE_MONTH, 1)))
    home = company.spoil(
        "month",
        f"delete from {company.orders} where ordered_at >= timestamp '{first:%F %T}' "
        f"and ordered_at < timestamp '{last:%F %T}'",
    )
    found = label(company, home)
    expected = {key: None if reaches_into_gap(key[0]) else left for key, left in truth.items()}
    missing = ask(home, "select paused_from, paused_until from bookkeeping.feed_pauses where is_missing")
    covered = (missing["paused_from"].dt.date <= GONE_MONTH) & (missing["paused_until"].dt.date >= shift(GONE_MONTH, 1))
    # who is active cannot be counted where the days before are missing: only the snapshots' labels are compared
    gaps = {key: left for key, left in found.items() if reaches_into_gap(key[0])}
    expected = {key: left for key, left in expected.items() if not reaches_into_gap(key[0])} | dict.fromkeys(gaps)
    return "a missing month", found, expected, bool(covered.any())


def _with_a_future(company: Company, truth: Labels) -> tuple[str, Labels, Labels, bool]:
    rows = (
        "select * replace (order_id || '-later' as order_id, {moment} as ordered_at) from {table} order by all limit 3"
    )
    later = (f"timestamp '{moment}'" for moment in ("2031-01-01", AS_OF + timedelta(5)))
    home = company.spoil(
        "future",
        *(f"insert into {company.orders} {rows.format(moment=each, table=company.orders)}" for each in later),
    )
    found = label(company, home)
    (named,) = ask(home, "select sum(count_rows_later) as n from bookkeeping.feed_coverage").to_numpy()
    return "rows of the future", found, truth, int(named[0]) >= 3  # noqa: PLR2004 - those of 2031 at least


def _with_vanished(company: Company, truth: Labels) -> tuple[str, Labels, Labels, bool]:
    gone = "select customer_id from known_before where hash(customer_id) % 10 = 0"
    home = company.spoil(
        "vanished", *(f"delete from {each} where customer_id in ({gone})" for each in company.customers)
    )
    found = label(company, home)
    lost = set(ask(home, gone)["customer_id"])
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        known = count_known(connection, company.orders, company.customers)
        query = f"select count(*) from {company.orders} where customer_id in ({gone})"
        (orders,) = connection.execute(query).fetchone() or (0,)
    expected = {key: left for key, left in truth.items() if key[1] not in lost}
    return "a tenth of the customers gone", found, expected, known.unknown >= orders > 0


def _with_refunds(company: Company, purchases: pd.DataFrame) -> tuple[str, Labels, Labels, bool]:
    """Take back a quarter of the orders by credit notes, a sixth by status, and 30 % of another quarter's amounts."""
    turn = pd.util.hash_pandas_object(purchases["order_id"], index=False) % 12
    is_only = ~purchases.duplicated(["customer_id", "amount"], keep=False)  # so that a note takes back this very order
    by_note = purchases["order_id"][(turn < 3) & is_only]  # noqa: PLR2004 - three of twelve
    by_status = purchases["order_id"][turn.isin([3, 4])]
    in_part = purchases["order_id"][turn.isin([5, 6, 7])]
    note = (
        "insert into {table} select * replace (order_id || '-note' as order_id, -amount * {share} as amount, "
        "ordered_at + interval 1 hour as ordered_at) from {table} where order_id in ({ids})"
    )
    status = "update {table} set status = 'refunded' where order_id in ({ids})"
    home = company.spoil(
        "refunds",
        *(
            text.format(table=company.orders, ids=", ".join(f"'{each}'" for each in ids), share=share)
            for text, ids, share in ((note, by_note, 1), (note, in_part, 0.3), (status, by_status, 0))
        ),
    )
    found = label(company, home, returns=RETURNS)
    refunded = purchases["order_id"][purchases["status"] == "refunded"]
    taken = frozenset((*by_note, *by_status, *refunded))
    named = set(ask(home, "select order_id from staging.stg_orders where is_returned and amount >= 0")["order_id"])
    return "refunds", found, count_by_hand(purchases, taken_back=taken), taken <= named


def measure(industry: str, *, seed: int) -> Iterator[Figure]:
    """Return how many labels differ from the truth, and how many were known, per fault."""
    for fault, found, truth, is_named in sweep(industry, seed=seed):
        keys = {key for key in found if key[0] in SNAPSHOTS} | set(truth)
        differing = sorted(key for key in keys if found.get(key, "absent") != truth.get(key, "absent"))
        wrong = [key for key in differing if found.get(key, "absent") is not None or key not in truth]
        known = sum(left is not None for left in found.values())
        if wrong:
            print(
                f"    {industry}, {fault}: {[(str(d), w, found.get((d, w)), truth.get((d, w))) for d, w in wrong[:5]]}"
            )
        sized: dict[str, Any] = {
            "seed": seed,
            "size": f"{CUSTOMERS} customers, {MONTHS} months, {len(keys)} labels, {known} of them known",
            "command": "make bench TOPIC=labels",
        }
        name = f"{industry}, {fault}"
        yield Figure(f"{name}: labels that are not the truth", unit="labels", **at_most(len(wrong), 0), **sized)
        yield Figure(f"{name}: labels known", unit="labels", **without_bar(known), **sized)
        given_up = len(differing) - len(wrong)
        yield Figure(f"{name}: labels unknown that could be known", unit="labels", **without_bar(given_up), **sized)
        yield Figure(f"{name}: named", unit="faults", **at_least(int(is_named), 1), **sized)


def main() -> None:
    """Measure all companies, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--industry", choices=INDUSTRIES)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for industry in [asked.industry] if asked.industry else INDUSTRIES:
        record("labels", measure(industry, seed=asked.seed))


if __name__ == "__main__":
    main()
