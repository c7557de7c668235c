"""Whether a company too small, too young or too faithful for a model gets scores: `make bench TOPIC=small_companies`.

Each kind of company runs once at several sizes; what is wrong with the end of a run is counted, and the figures go to
bench/results/small_companies.json.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from bench.figures import Figure, at_most, record

COMMAND = "make bench TOPIC=small_companies"
AS_OF = "2024-10-01"
COMPANY = """\
company: Corner Shop
industry: retail
timezone: Europe/Berlin
currency: EUR
history_starts: {since}
churn: {{definition: inactivity, active_within_days: 60, horizon_days: 30}}
policy: {{drift: {{page: false}}}}
sources:
  shop:
    reader: files
    files: {{customers: customers.csv, orders: orders.csv}}
tables:
  customers:
    source: shop
    from: customers
    columns: {{customer_id: id, signed_up_at: since, city: town}}
  orders:
    source: shop
    from: orders
    columns: {{order_id: number, customer_id: customer, ordered_at: moment, amount: total, discount: rebate}}
"""


def write_few(folder: Path, customers: int = 20) -> None:
    """Write a shop with too few customers, of whom one has never bought."""
    orders = trade(customers, "2024-01-01", shortest=4, longest=15, leaves=300)
    people = pd.DataFrame({"id": [*sorted(set(orders["customer"])), "silent"]})
    write(folder, orders, people.assign(since=None), since="2024-01-01")


def write_young(folder: Path, customers: int = 120) -> None:
    """Write a shop that opened three weeks ago."""
    orders = trade(customers, "2024-09-10", shortest=2, longest=8)
    people = pd.DataFrame({"id": sorted(set(orders["customer"]))})
    write(folder, orders, people.assign(since="2024-09-10"), since="2024-09-10")


def write_faithful(folder: Path, customers: int = 550) -> None:
    """Write a shop that nobody has left yet."""
    orders = trade(customers, "2024-05-01", shortest=3, longest=7)
    people = pd.DataFrame({"id": sorted(set(orders["customer"]))})
    write(folder, orders, people.assign(since="2024-05-01"), since="2024-05-01")


KINDS: dict[str, tuple[Callable[[Path, int], None], tuple[int, ...]]] = {
    "few": (write_few, (5, 20)),
    "young": (write_young, (120,)),
    "faithful": (write_faithful, (550,)),
}


def trade(customers: int, since: str, *, shortest: float, longest: float, leaves: float | None = None) -> pd.DataFrame:
    """Return orders from `since` to the day of the run at rhythms between `shortest` and `longest` days."""
    rng, start, end = np.random.default_rng(3), pd.Timestamp(since), pd.Timestamp(AS_OF)
    frames = []
    for number in range(customers):
        moments = start + pd.to_timedelta(np.cumsum(rng.gamma(4, rng.uniform(shortest, longest) / 4, 200)), unit="D")
        last = end if leaves is None else min(end, start + pd.Timedelta(days=rng.exponential(leaves)))
        frames.append(pd.DataFrame({"customer": f"c{number:04d}", "moment": moments[moments < last].floor("s")}))
    orders = pd.concat(frames, ignore_index=True).assign(total=20.0, rebate=0.0)
    return orders.assign(number=[f"o{number:05d}" for number in range(len(orders))])


def write(folder: Path, orders: pd.DataFrame, people: pd.DataFrame, *, since: str) -> None:
    """Write a company's file and its data."""
    folder.mkdir(parents=True)
    orders.to_csv(folder / "orders.csv", index=False)
    people.assign(town="Köln").to_csv(folder / "customers.csv", index=False)
    (folder / "company.yaml").write_text(COMPANY.format(since=since))


def list_faults(home: Path) -> Iterator[str]:
    """Yield what is wrong with an instance of which no customer can be scored by a model."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        reasons = warehouse.sql("select reason from monitoring.promotions").fetchall()
        scores = warehouse.sql("select probability, model_version from scores.churn_scores").df()
        trust = warehouse.sql("select confidence, missing from scores.rule_scores").df()
        eligible = warehouse.sql(
            f"select count(*) from features.customer_features where as_of = '{AS_OF}' and is_eligible"
        ).fetchall()
    claims = {
        "the training reports what a model needs": ["a model needs" in reason for (reason,) in reasons] == [True],
        "every eligible customer has a score": eligible == [(len(scores),)],
        "scores are marked as rule-based": set(scores["model_version"]) == {"rule-based"},
        "probabilities are neither 0 nor 1": scores["probability"].between(0, 1, inclusive="neither").all(),
        "scores distinguish customers": scores["probability"].nunique() > len(scores) / 2,
        "confidence is low": trust["confidence"].between(0, 0.5).all(),
        "what is missing is named": trust["missing"].str.len().gt(0).all(),
    }
    yield from (claim for claim, holds in claims.items() if not holds)


def run(folder: Path) -> Path:
    """Run the company in a folder; return its instance. Raises CalledProcessError when the run fails."""
    command = [sys.executable, "-m", "orchestration.cli", "run", "--as-of", AS_OF, "--company", "company.yaml"]
    subprocess.run(command, cwd=folder, env=os.environ | {"HOLDFAST_HOME": "home"}, check=True, capture_output=True)
    return folder / "home"


def measure(folder: Path) -> Iterator[Figure]:
    """Run every kind of company at every size."""
    for kind, (write_company, sizes) in KINDS.items():
        for size in sizes:
            write_company(folder / f"{kind}-{size}", size)
            faults = list(list_faults(run(folder / f"{kind}-{size}")))
            yield Figure(
                f"small companies: {kind}, {size} customers, claims that do not hold",
                unit="count", **at_most(len(faults), 0), size=f"{size} customers", seed=3, command=COMMAND,
                reference="; ".join(faults),
            )  # fmt: skip


def main() -> None:
    """Measure and write the topic's file."""
    with tempfile.TemporaryDirectory(prefix="small-") as folder:
        record("small_companies", measure(Path(folder)))


if __name__ == "__main__":
    main()
