"""Whether `holdfast check` and `holdfast run` come to the same verdict on the sources of a damaged company.

A small shop's files and company file are changed in one or two of the ways below. `check` reads them in memory; the
other side lands every table and asks the gate on the sources, as a run does. Both give the exit code of their command:
2 for what a person must correct, 1 for a gate that closes, 0 for sources that are sound.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from company.company_file import Company
from company.file_faults import CompanyError
from company.industries import load_industry
from company.policy import PolicyError, load_policy
from expectations.gate import run_gate
from expectations.sources import build
from ingestion.check import check_company
from ingestion.landing import PATIENCE, land
from ingestion.readers import load_company
from orchestration.commands.check import find_wrong_settings
from orchestration.defs.sources import describe_raw
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

CUSTOMERS, ORDERS = 40, 150
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
SECRETS = {"HOLDFAST_TOKEN_KEY": "a key for this bench only, 0123456789"}
BAD_INPUT = 2
ODD_CELLS = ("", "NULL", "x9", "1e5", "2031-01-01 00:00:00", "-5", "1001.0", "nan", "0001-01-01", '"', "1.234")


@dataclass
class Shop:
    """Rows of two files, as lists of texts, and the content of a company file over them."""

    people: list[list[str]]
    orders: list[list[str]]
    company: dict[str, Any] = field(default_factory=dict)

    @property
    def feed(self) -> dict[str, Any]:
        """What the company file has under `tables.orders`, or an empty entry of its own when that is gone."""
        feed: dict[str, Any] = self.company["tables"].setdefault("orders", {})
        return feed

    def write(self, folder: Path) -> Path:
        """Write all of it into `folder` and return the company file."""
        for name, rows in (("people.csv", self.people), ("orders.csv", self.orders)):
            (folder / name).write_text("".join(",".join(row) + "\n" for row in rows))
        path = folder / "company.yaml"
        path.write_text(yaml.safe_dump(self.company, sort_keys=False))
        return path


def make_shop(chance: random.Random) -> Shop:
    """Return a shop in which nothing is wrong."""
    people = [["id", "city", "shop"], *([f"c{n:03d}", "Bern", f"s{n % 3}"] for n in range(CUSTOMERS))]
    orders = [["number", "customer", "moment", "amount"]]
    for number in range(ORDERS):
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(200_000))
        customer, amount = f"c{chance.randrange(CUSTOMERS):03d}", f"{chance.uniform(1, 900):.2f}"
        orders.append([f"o{number}", customer, f"{moment:%Y-%m-%d %H:%M:%S}", amount])
    company = {
        "company": "Corner Shop",
        "industry": "retail",
        "timezone": "UTC",
        "currency": "EUR",
        "history_starts": "2024-01-01",
        "churn": {"definition": "inactivity", "active_within_days": 60, "horizon_days": 30},
        "sources": {"shop": {"reader": "files", "files": {"people": "people.csv", "sales": "orders.csv"}}},
        "tables": {
            "customers": {"source": "shop", "from": "people", "columns": {"customer_id": "id", "city": "city"}},
            "orders": {
                "source": "shop",
                "from": "sales",
                "columns": {
                    "order_id": "number",
                    "customer_id": "customer",
                    "ordered_at": "moment",
                    "amount": "cast(amount as double)",
                },
            },
        },
    }
    return Shop(people, orders, company)


# --- what is changed ------------------------------------------------------------------------------------------------


def spoil_cells(shop: Shop, chance: random.Random) -> None:
    """Put an odd text into some rows of one column of the orders."""
    column, share = chance.randrange(4), chance.choice((0.004, 0.02, 0.045, 0.055, 0.3, 1))
    text = chance.choice(
        ("", "NULL", "x9", "1e5", "2031-01-01 00:00:00", "-5", "1001.0", "nan", "0001-01-01", '"', "1.234")
    )
    for row in shop.orders[1 : 1 + max(1, round(share * ORDERS))]:
        row[column] = text


def change_expression(shop: Shop, chance: random.Random) -> None:
    """Map one column by another expression."""
    name = chance.choice(("order_id", "customer_id", "ordered_at", "amount", "discount"))
    shop.feed.setdefault("columns", {})[name] = chance.choice((
        "number", "customer", "moment", "amount", "upper(customer)", "'x' || customer", "nothing", "1", "null",
        "cast(amount as integer)", "moment::timestamp + interval 2 year", "now()", "(select 1)", "customer; select 1",
        "try_cast(amount as double)", "strptime(moment, '%d.%m.%Y')", "row_number() over ()",
        "case when number > 'o5' then customer end",
    ))  # fmt: skip


def change_feed(shop: Shop, chance: random.Random) -> None:
    """Declare something else of the feed, rightly or not."""
    key, value = chance.choice((
        ("where", "amount > 400"), ("where", "1 = 0"), ("where", "cast(number as int) > 3"), ("group_by", "number"),
        ("incremental", "file"), ("incremental", "moment"), ("fresh_within_days", 1), ("fresh_within_days", 90),
        ("decimal", ","), ("separator", ";"), ("encoding", "utf-16"), ("date_format", "%Y-%m-%d %H:%M:%S"),
        ("date_format", "%d.%m.%Y"), ("day_first", True), ("header_line", 2), ("from", "people"), ("from", "salse"),
        ("from", "(select * from sales limit 3)"), ("null_words", ["c001"]), ("ended_on", "2025-03-01"),
        ("source", "till"),
    ))  # fmt: skip
    shop.feed[key] = value


def change_company(shop: Shop, chance: random.Random) -> None:
    """Change, add or take out a key of the company file."""
    key, value = chance.choice((
        ("timezone", "Mars"), ("timezone", "Asia/Shanghai"), ("industry", "saas"), ("currency", "euro"),
        ("history_starts", "2026-01-01"), ("channels", {"pigeon": {}}), ("channels", {"file": {}}),
        ("strategies", "plays"), ("policy", {"gates": {"maximum_quarantine_share": 0.01}}),
        ("policy", {"gates": {"maximum_unknown_share": 0.0}}),
        ("policy", {"gates": {"maximum_future_share": 0.5}}), ("policy", {"gates": {"maximum_quarantine_share": 1.0}}),
        ("policy", {"gates": {"x": 1}}), ("cleaning", {"returns": {"negative_amounts": True}}), ("closed", []),
        ("churn", {"definition": "contract_end", "active_within_days": 1, "horizon_days": 30}),
        ("cleaning", {"bounds": [{"table": "orders", "column": "amount", "high": 500}]}), ("churn", None),
    ))  # fmt: skip
    shop.company[key] = value


def lose_customers(shop: Shop, chance: random.Random) -> None:
    """Take customers out of the list."""
    del shop.people[1 + round(chance.choice((0, 0.5, 0.78, 0.82, 0.97)) * CUSTOMERS) :]


def doubt_ids(shop: Shop, chance: random.Random) -> None:
    """Write the ids of one of the files in another way."""
    rows, place = chance.choice(((shop.people, 0), (shop.orders, 1), (shop.orders, 0)))
    change = chance.choice((str.upper, "{} ".format, "0{}".format, lambda text: text[1:], lambda text: f"{text[1:]}.0"))
    for row in rows[1:]:
        row[place] = change(row[place])


def repeat_rows(shop: Shop, chance: random.Random) -> None:
    """Bring orders twice, alike or with another amount."""
    rows = [list(row) for row in shop.orders[1 : chance.randrange(2, ORDERS)]]
    for row in rows if chance.random() < 0.5 else ():  # noqa: PLR2004 - half of them
        row[3] = "1.00"
    shop.orders += rows


CHANGES: tuple[Callable[[Shop, random.Random], None], ...] = (
    spoil_cells, spoil_cells, change_expression, change_feed, change_company, lose_customers, doubt_ids, repeat_rows,
)  # fmt: skip


# --- the two verdicts -----------------------------------------------------------------------------------------------


def verdict_of_check(path: Path) -> int:
    """Return the exit code of `holdfast check`."""
    try:
        company = load_company(path)
        report = check_company(company, secrets=SECRETS, now=NOON)
        wrong = list(find_wrong_settings(company))
    except (CompanyError, PolicyError):
        return BAD_INPUT
    return BAD_INPUT if report.faults or wrong else int(bool(report.closed))


def verdict_of_run(path: Path, home: Path) -> int:
    """Return the exit code that the sources give a run: land every table, then ask the gate."""
    try:
        company = load_company(path)
        policy = load_policy(load_industry(company.industry).policy, company.policy)
        if list(find_wrong_settings(company)):
            return BAD_INPUT
        warehouse = Warehouse(engine=DuckDb(path=home / "warehouse.duckdb"))
        for table in company.tables:
            with warehouse.connect() as connection:
                land(connection, company, table, secrets=SECRETS, batch="b", landed_at=NOON, confined=True)
    except (CompanyError, PolicyError):
        return BAD_INPUT
    suites = build(
        [describe_raw(warehouse, company, *raw) for raw in _raw_tables(company)],
        as_of=NOON.date(),
        latest=NOON.replace(tzinfo=None) + PATIENCE,
        limits=policy.gates,
    )
    return int(not run_gate(suites, database=warehouse.engine.database, docs=home / "gates").passed)


def _raw_tables(company: Company) -> list[tuple[str, str]]:
    return [(schema, table) for table, schemas in company.feeds().items() for schema in schemas]


def compare(count: int, seed: int) -> tuple[Counter[tuple[int, int]], list[str]]:
    """Return how often which pair of verdicts was given, and what was changed where the two differ."""
    verdicts: Counter[tuple[int, int]] = Counter()
    differing = []
    for index in range(count):
        chance = random.Random(f"agreement-{seed}-{index}")
        shop = make_shop(chance)
        changes = [chance.choice(CHANGES) for _ in range(chance.choice((1, 1, 2)))]
        for change in changes:
            change(shop, chance)
        with tempfile.TemporaryDirectory() as scratch:
            path = shop.write(Path(scratch))
            pair = verdict_of_check(path), verdict_of_run(path, Path(scratch))
        verdicts[pair] += 1
        if pair[0] != pair[1]:
            differing.append(f"mutation {index}: check {pair[0]}, run {pair[1]}: {[each.__name__ for each in changes]}")
    return verdicts, differing
