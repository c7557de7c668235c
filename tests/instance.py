"""A small generated company, the command line run on it, and what it left behind."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import processes

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
  training: {minimum_customers: 50, minimum_churners: 10, candidates: [logistic_regression]}
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
    extra:
      club: {sql: club, type: text, never_changes: true}
      came_by_voucher: {sql: voucher, type: yes-no, never_changes: true}
      lockers: {sql: lockers, type: number}
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

    def execute(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        code = f"import ready_made\n{code}"
        return processes.call(code, *arguments, environment=self.environment, folder=self.folder)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.execute(processes.CLI, *arguments)

    def run(self, as_of: str = AS_OF) -> subprocess.CompletedProcess[str]:
        return self.call("run", "--as-of", as_of, "--company", str(self.company))


KEEP_BEFORE_ACTING = """
import os, shutil
import orchestration.pipeline as pipeline
from orchestration.cli import app

execute, home = pipeline.execute, os.environ["HOLDFAST_HOME"]


def keep(definitions, job, **given):
    execute(definitions, job, **given)
    if job == "retrain":
        shutil.copytree(home, os.path.join(os.path.dirname(home), "before-acting"))


pipeline.execute = keep
app()
"""


@dataclass(frozen=True)
class PreparedRun:
    """The shop's first run in `folder`, with its state once it was trained and at its end; made once for all tests."""

    folder: Path

    @property
    def instance(self) -> Instance:
        """Return the instance that ran: dbt has parsed for its paths. One test at a time may work on it."""
        return Instance(folder=self.folder / "shop", home=self.folder / "home")

    @property
    def finished(self) -> Instance:
        """Return the instance at the end of the run; tests only read it."""
        return Instance(folder=self.folder / "shop", home=self.folder / "end")

    def restore(self, state: str) -> Instance:
        """Bring the instance that ran back to a state: `before-acting` or `end`."""
        shutil.rmtree(self.instance.home, ignore_errors=True)
        shutil.copytree(self.folder / state, self.instance.home)
        return self.instance

    def copy(self, home: Path) -> Instance:
        """Return a copy of the instance at the end of the run, with a registry that finds its own artifacts."""
        shutil.copytree(self.finished.home, home)
        with sqlite3.connect(home / "mlflow" / "mlflow.db") as connection:
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("model_versions", "source"),
            ):
                moved = f"update {table} set {column} = replace({column}, ?, ?)"
                connection.execute(moved, (str(self.instance.home), str(home)))
        return Instance(folder=self.folder / "shop", home=home)


def prepare_run(folder: Path) -> None:
    """Run the shop once from end to end and keep what its state was when it had been trained, and at its end."""
    prepared = PreparedRun(folder)
    write_shop(prepared.instance.folder)
    company = str(prepared.instance.company)
    done = prepared.instance.execute(KEEP_BEFORE_ACTING, "run", "--as-of", AS_OF, "--company", company)
    assert done.returncode == 0, done.stdout
    shutil.copytree(prepared.instance.home, prepared.finished.home)


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Let whichever test process comes first fill `folder`; the others wait until it is whole, or fail as it did."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done, failed = (folder.with_name(f"{folder.name}.{state}") for state in ("done", "failed"))
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not failed.exists(), failed.read_text()
        if not done.exists():
            try:
                make(folder)
            except BaseException as error:
                failed.write_text(f"another test process could not make {folder.name}: {error}")
                raise
            done.touch()
    return folder


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
    contracts["plan"], contracts["fee"] = np.where(is_cheap, "basic", "full"), np.where(is_cheap, 90.0, 270.0)
    folder.mkdir(parents=True, exist_ok=True)
    contracts.to_csv(folder / "contracts.csv", index=False)
    people = pd.DataFrame({"id": ids, "since": joined, "club": np.where(is_cheap, "station", "lake")})
    people["voucher"], people["lockers"] = np.where(is_cheap, "yes", "no"), np.arange(members) % 3
    people.to_csv(folder / "members.csv", index=False)
    (folder / "company.yaml").write_text(CONTRACTS)
