"""How well accounts of one customer are recognised, against the simulator's truth, in five industries.

`python -m bench.identity [--customers N] [--large N]` writes bench/results/identity.json. Each world is simulated, its
customers and other ids are landed by the mapping of its company file, with a vault, and linked; what the platform
never reads, whose account is whose, is the yardstick. `--large` is the size of the world on which seconds are taken.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml

from company.company_file import Company
from ingestion.identity.linking import LinkReport, link
from ingestion.landing import land
from ingestion.readers import load_company
from simulator.parameters import load_parameters
from simulator.story import simulate

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "identity.json"
INDUSTRIES = ("retail", "ecommerce", "finance", "telecom", "saas")
SEED = 20260101
MONTHS = 3
AT = datetime(2026, 1, 1, tzinfo=UTC)
LEAST_PRECISION, LEAST_RECALL = 0.995, 0.95
FILES = {
    "crm": {
        "account": "sources/database/crm.account.parquet",
        "id_xref": "sources/database/crm.id_xref.parquet",
        "sales_order": "sources/database/oms.sales_order.parquet",
    },
    "desk": {"users": "sources/desk/users.parquet"},
}


@dataclass(frozen=True)
class Linked:
    """One linked world: the warehouse, its folder, what the linking reported, and the seconds of each step."""

    warehouse: duckdb.DuckDBPyConnection
    folder: Path
    report: LinkReport
    seconds: dict[str, float]


def read_company(folder: Path, industry: str) -> Company:
    """Return the industry's example company, reading the staged files of its database and its desk."""
    document = yaml.safe_load((ROOT / "examples" / industry / "company.yaml").read_text(encoding="utf-8"))
    tables = document["tables"]
    kept = {"customers": tables["customers"], "identities": tables["identities"]}
    kept["orders"] = {**tables["orders"], "from": "sales_order"}
    kept["customers"]["from"], kept["identities"][0]["from"] = "account", "id_xref"
    sources = {name: {"reader": "files", "files": files} for name, files in FILES.items()}
    churn = {"definition": "inactivity"}
    path = folder / "identity.yaml"
    written = {**document, "churn": churn, "sources": sources, "tables": kept}
    path.write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return load_company(path)


def link_world(folder: Path, industry: str, *, customers: int, months: int) -> Linked:
    """Simulate, land and link one world."""
    simulate(load_parameters(industry), folder, customers=customers, months=months, seed=SEED)
    company = read_company(folder, industry)
    secrets = {
        "HOLDFAST_TOKEN_KEY": "a key for measuring only, 0123456789",
        "HOLDFAST_VAULT_URL": f"sqlite:///{folder / 'vault.db'}",
        "HOLDFAST_MASTER_KEY": "a master key for measuring only",
    }
    warehouse = duckdb.connect(str(folder / "warehouse.duckdb"))
    warehouse.execute("set timezone = 'UTC'")
    seconds = {}
    began = time.perf_counter()
    for table in ("customers", "identities"):
        land(warehouse, company, table, secrets=secrets, batch="b1", landed_at=AT)
    seconds["ingested and sealed"] = time.perf_counter() - began
    began = time.perf_counter()
    report = link(warehouse, company, secrets=secrets, batch="b1", decided_at=AT)
    seconds["linked"] = time.perf_counter() - began
    began = time.perf_counter()
    link(warehouse, company, secrets=secrets, batch="b2", decided_at=AT)
    seconds["linked again, nothing new"] = time.perf_counter() - began
    return Linked(warehouse, folder, report, seconds)


def count_pairs(linked: Linked) -> tuple[int, int, int, int]:
    """Return how many pairs of ids are one customer's, were found, were found rightly, and are wrong in a household."""
    truth = linked.folder / "truth" / "identity.parquet"
    row = linked.warehouse.execute(
        f"""
        with seen as (
            select distinct customer_id as id from (
                select customer_id from raw_crm.customers union all select customer_id from raw_crm.identities
                union all select customer_id from raw_desk.identities
            )
        ), owned as (
            select account as id, person_id, household from '{truth}'
            union all select 'desk-' || desk_user_id, person_id, household from '{truth}'
        ), known as (
            select s.id, o.person_id, o.household, coalesce(m.canonical_id, s.id) as canonical_id
            from seen s join owned o using (id)
            left join (select distinct customer_id, canonical_id from identity.members) m on m.customer_id = s.id
        ), pairs as (
            select l.person_id = r.person_id as is_true, l.canonical_id = r.canonical_id as is_found,
                coalesce(l.household = r.household, false) as is_home
            from known l join known r on l.id < r.id
            and (l.person_id = r.person_id or l.canonical_id = r.canonical_id)
        )
        select count(*) filter (is_true), count(*) filter (is_found), count(*) filter (is_true and is_found),
            count(*) filter (is_found and not is_true and is_home)
        from pairs
        """
    ).fetchone()
    return tuple(row) if row else (0, 0, 0, 0)


def measure(folder: Path, industry: str, *, customers: int) -> Iterator[dict[str, Any]]:
    """Yield precision, recall and wrong merges of households in one world."""
    linked = link_world(folder, industry, customers=customers, months=MONTHS)
    true, found, right, homes = count_pairs(linked)
    precision, recall = right / max(found, 1), right / max(true, 1)
    size = f"{customers} customers, {linked.report.records} records, {true} true pairs, {found} found"
    yield figure(f"precision, {industry}", precision, "share of pairs", f">= {LEAST_PRECISION}", size=size)
    yield figure(f"recall, {industry}", recall, "share of pairs", f">= {LEAST_RECALL}", size=size)
    yield figure(f"wrong household merges, {industry}", homes, "pairs", "<= 0", size=size)


def measure_speed(folder: Path, *, customers: int) -> Iterator[dict[str, Any]]:
    """Yield the seconds of each step for 100,000 records."""
    linked = link_world(folder, "telecom", customers=customers, months=1)
    size = f"{linked.report.records} records, {linked.report.pairs_compared} pairs compared in clear"
    for step, seconds in linked.seconds.items():
        yield figure(f"{step}, 100,000 records", seconds * 100_000 / linked.report.records, "s", "", size=size)


def figure(name: str, value: float, unit: str, bar: str, *, size: str) -> dict[str, Any]:
    """Return one figure as it is written down."""
    cores = len(os.sched_getaffinity(0))
    machine = f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    sign, _, edge = bar.partition(" ")
    holds = {">=": value >= float(edge or 0), "<=": value <= float(edge or 0)}.get(sign)
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "bar": bar,
        "holds": holds,
        "seed": SEED,
        "size": size,
        "machine": machine,
        "command": "python -m bench.identity",
    }


def main() -> None:
    """Measure every world, print and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--large", type=int, default=100_000)
    asked = parser.parse_args()
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for industry in INDUSTRIES:
            figures += measure(Path(scratch) / industry, industry, customers=asked.customers)
        if asked.large:
            figures += measure_speed(Path(scratch) / "large", customers=asked.large)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    for found in figures:
        holds = {True: "holds", False: "FALLS SHORT", None: ""}[found["holds"]]
        print(f"{found['name']:45} {found['value']:>10} {found['unit']:<15} {found['bar']:<9} {holds}")


if __name__ == "__main__":
    main()
