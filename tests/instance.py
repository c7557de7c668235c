"""A small generated company, the command line run on it, and what it left behind."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parent.parent
AS_OF = "2024-10-01"
COMPANY = """\
company: Corner Shop
industry: retail
timezone: Europe/Berlin
currency: EUR
history_starts: 2024-01-01
churn: {definition: inactivity, active_within_days: 60, horizon_days: 30}
policy:
  tiers: {high: 60, medium: 25}
  training: {minimum_customers: 50, minimum_churners: 10, candidates: [logistic_regression, xgboost]}
  promotion: {minimum_auc: 0.5}
  drift: {page: false}
  gates: {minimum_customers: 50}
sources:
  shop:
    reader: files
    files: {customers: customers.csv, orders: orders.csv}
tables:
  customers:
    source: shop
    from: customers
    columns:
      customer_id: id
      signed_up_at: since
      city: town
  orders:
    source: shop
    from: orders
    columns:
      order_id: number
      customer_id: customer
      ordered_at: moment
      amount: total
      discount: rebate
"""

CONTRACTS = """\
company: Corner Gym
industry: saas
timezone: Europe/Berlin
currency: EUR
history_starts: 2024-01-01
churn: {definition: contract_end, active_within_days: 30, horizon_days: 30}
policy:
  tiers: {high: 30, medium: 12}
  training: {minimum_customers: 50, minimum_churners: 10, candidates: [logistic_regression, xgboost]}
  promotion: {minimum_auc: 0.3, minimum_gain: 0, maximum_calibration_error: 0.5}
  drift: {page: false}
sources:
  books:
    reader: files
    files: {members: members.csv, contracts: contracts.csv}
tables:
  customers:
    source: books
    from: members
    columns: {customer_id: id, signed_up_at: since}
  subscriptions:
    source: books
    from: contracts
    columns:
      subscription_id: number
      customer_id: member
      plan: plan
      started_at: since
      cancelled_at: until
      amount_monthly: fee
      is_auto_renewing: "true"
"""


@dataclass(frozen=True)
class Instance:
    """A company's folder and its state folder, with the command line of the product."""

    folder: Path
    home: Path

    @property
    def company(self) -> Path:
        return self.folder / "company.yaml"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"HOLDFAST_HOME": str(self.home), "HOLDFAST_COMPANY": str(self.company), "COLUMNS": "400"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "orchestration.cli", *arguments]

    def call(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(self, as_of: str = AS_OF) -> subprocess.CompletedProcess[str]:
        return self.call("run", "--as-of", as_of, "--company", str(self.company))


def write_shop(folder: Path, *, customers: int = 400, seed: int = 20240101) -> None:
    """Write a shop whose customers buy at rhythms of their own and leave for good at a constant risk."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-01-01")
    joined = start + pd.to_timedelta(rng.integers(0, 120, customers), unit="D")
    rhythm = rng.uniform(4, 20, customers)
    leaves = joined + pd.to_timedelta(rng.exponential(300, customers), unit="D")
    end = pd.Timestamp("2024-11-15")
    frames = []
    for index in range(customers):
        gaps = rng.gamma(4, rhythm[index] / 4, 120)
        moments = joined[index] + pd.to_timedelta(np.cumsum(gaps), unit="D")
        kept = moments[(moments < leaves[index]) & (moments < end)]
        frames.append(pd.DataFrame({"customer": f"c{index:04d}", "moment": kept.floor("s")}))
    orders = pd.concat(frames, ignore_index=True)
    orders.insert(0, "number", [f"o{index:06d}" for index in range(len(orders))])
    orders["total"] = rng.gamma(3, 12, len(orders)).round(2)
    orders["rebate"] = np.where(rng.random(len(orders)) < 0.2, 1.5, 0.0)
    people = pd.DataFrame({"id": [f"c{index:04d}" for index in range(customers)], "since": joined, "town": "Köln"})
    folder.mkdir(parents=True, exist_ok=True)
    orders.to_csv(folder / "orders.csv", index=False)
    people.to_csv(folder / "customers.csv", index=False)
    (folder / "company.yaml").write_text(COMPANY)


def write_gym(folder: Path, *, members: int = 600, seed: int = 20240102) -> None:
    """Write a company of contracts alone, whose cheap plan is cancelled much more often than the other."""
    rng = np.random.default_rng(seed)
    joined = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 150, members), unit="D")
    is_cheap = rng.random(members) < 0.5
    stays = rng.exponential(np.where(is_cheap, 120, 900)).astype(int) + 30
    until = joined + pd.to_timedelta(stays, unit="D")
    ids = [f"m{index:04d}" for index in range(members)]
    contracts = pd.DataFrame({"number": [f"k{index:04d}" for index in range(members)], "member": ids, "since": joined})
    contracts["until"] = until.where(until < pd.Timestamp("2024-11-15"))
    contracts["plan"], contracts["fee"] = np.where(is_cheap, "basic", "full"), np.where(is_cheap, 15.0, 45.0)
    folder.mkdir(parents=True, exist_ok=True)
    contracts.to_csv(folder / "contracts.csv", index=False)
    pd.DataFrame({"id": ids, "since": joined}).to_csv(folder / "members.csv", index=False)
    (folder / "company.yaml").write_text(CONTRACTS)


def read_ledger(instance: Instance) -> pd.DataFrame:
    """Return the operational ledger without the moments at which things happened to be recorded."""
    from retention.store.store import Store

    store = Store(f"sqlite:///{instance.home / 'operational.db'}")
    ledger = store.ledger.read().drop(columns="recorded_at")
    store.close()
    return ledger


CHANGES_WITH_THE_CLOCK = ("_landed_at", "_batch", "landed_at", "batch", "judged_at", "recorded_at", "sent_at")


def read_tables(instance: Instance) -> dict[str, tuple[int, str]]:
    """Return rows and a content hash of every table people read, but for moments and run ids."""
    import duckdb

    found = {}
    with duckdb.connect(str(instance.home / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name, list(column_name order by ordinal_position) "
            "from information_schema.columns "
            "where table_schema not in ('ingestion', 'intermediate', 'quarantine', 'staging') "
            "and table_name <> 'gate_verdicts' group by all order by all"
        ).fetchall()
        for schema, name, columns in tables:
            kept = ", ".join(f'"{column}"' for column in columns if column not in CHANGES_WITH_THE_CLOCK)
            query = f"select count(*), cast(coalesce(bit_xor(hash({kept})), 0) as varchar) from {schema}.{name}"
            found[f"{schema}.{name}"] = connection.execute(query).fetchone()
    return found
