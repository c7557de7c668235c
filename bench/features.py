"""What the features cost at size: by dbt, by the same work as plain DuckDB statements, for one more day, for a year.

`python -m bench.features [--sizes 10000 100000 1000000] [--parts plain day year dagster]` makes landed companies from a
seed (a year, 50 events and 10 orders for each customer), builds them, prints the figures and writes them into
bench/results/features.json. Every build is a process of its own; its peak memory is what the operating system says.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from graphlib import TopologicalSorter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb

from company.contract import TABLES
from company.policy import load_policy
from dbt_project.variables import declare_ground

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "dbt_project"
RESULTS = Path(__file__).parent / "results" / "features.json"
SEED = 20260101
BEFORE, AS_OF = "2025-12-01", "2025-12-02"
MONTHS = [f"2025-{month:02d}-02" for month in range(1, 13)]
EVENTS, ORDERS = 50, 10  # for each customer and year
SCHEMAS = ("staging", "bookkeeping", "intermediate", "customer_360", "features")
VIEW = "path:models/staging path:models/bookkeeping path:models/intermediate path:models/customer_360"
SLICES = "path:models/features"
NOTHING = "stg_campaigns"  # a view of nothing: all that such a run costs is dbt itself
BOOKKEEPING = ("batch_days", "batch_days_read", "days_landed", "days_to_rebuild", "days_built")
MOST_TIMES, MOST_MEMORY, MOST_SHARE, MOST_YEAR, MOST_OVERHEAD, MOST_ON_LAKE = 2.5, 12.0, 0.05, 4.0, 30.0, 1.3
PARTS = ("plain", "day", "year", "dagster", "lake")
NIGHTS = 3
MOST_COMPARED = 100_000  # a rebuild to compare row by row is made up to this size
COMPANY = """\
company: Bench
industry: ecommerce
timezone: Asia/Shanghai
currency: CNY
history_starts: 2025-10-01
churn: {definition: inactivity, active_within_days: 90, horizon_days: 60}
sources: {shop: {reader: files, files: {none: none.parquet}}}
tables:
"""

# A quarter of the customers makes half of the events; who has left is silent. Sessions hold four events within an hour.
WORLD = {
    "customers": """
        select 'c' || i as customer_id, 'person' as kind,
            ['north', 'south', 'east'][1 + (hash(i, 1) % 3)::int] as region,
            timestamp '2024-06-01' + to_minutes((hash(i, 2) % 260000)::int) as signed_up_at, 20.0 as acquisition_cost
        from range($size) as made(i)
    """,
    "products": """
        select 'p' || i as product_id, 'thing ' || i as name, 'category ' || i % 40 as category,
            'department ' || i % 8 as department, 'brand ' || i % 100 as brand
        from range(2000) as made(i)
    """,
    "orders": """
        select 'o' || i as order_id, customer_id, moment as ordered_at, 10 + (hash(i, 3) % 20000) / 100.0 as amount,
            if(hash(i, 4) % 4 = 0, 5.0, 0.0) as discount, 2 as count_lines, ['app', 'web'][1 + (hash(i, 5) % 2)::int]
            as channel, if(hash(i, 6) % 25 = 0, 'failed', 'paid') as status
        from ({moments}) as drawn
    """,
    "order_lines": """
        select order_id, line as line_number, customer_id, ordered_at,
            'p' || (hash(order_id, line) % 2000) as product_id, 1.0 as quantity,
            amount / 2 as amount, discount / 2 as discount
        from orders, range(1, 3) as lines(line)
    """,
    "events": """
        select 'e' || i || '-' || step as event_id, customer_id,
            moment + to_seconds((step * 300 + hash(i, step) % 290)::int) as occurred_at,
            types[1 + (hash(i, step, 7) % 10)::int] as type, 'app' as channel, 's' || i as session_id,
            'p' || (hash(i, step, 8) % 2000) as product_id, (hash(i, step, 9) % 600)::double as dwell_seconds
        from ({moments}) as drawn, range(4) as steps(step), (select
            ['visit', 'visit', 'view', 'view', 'view', 'search', 'add_to_cart', 'checkout', 'pay', 'login'] as types)
    """,
    "tickets": """
        select 't' || i as ticket_id, customer_id, moment as opened_at, moment + to_minutes((hash(i, 3) % 3000)::int)
            as first_response_at, moment + to_minutes((3000 + hash(i, 4) % 9000)::int) as resolved_at,
            if(hash(i, 5) % 3 = 0, 'complaint', 'consultation') as kind, 'normal' as priority,
            (1 + hash(i, 6) % 5)::double as satisfaction
        from ({moments}) as drawn
    """,
    "touches": """
        select 'm' || i as touch_id, customer_id, 'k' || i % 12 as campaign_id, moment as touched_at, 'sms' as channel,
            hash(i, 3) % 2 = 0 as is_opened, hash(i, 4) % 10 = 0 as is_clicked
        from ({moments}) as drawn
    """,
}
RATES = {
    "orders": ORDERS / 0.79,
    "events": EVENTS / 4 / 0.79,
    "tickets": 1,
    "touches": 3,
}  # a fifth falls after leaving
VARIABLES = {
    "feeds": {name: ["raw_shop"] for name in WORLD},
    "timezone": "Asia/Shanghai",
    "churn": {"definition": "inactivity", "active_within_days": 90, "horizon_days": 60, "lead_days": 0},
    **declare_ground(load_policy()),
}
MOMENTS = """
    select i, customer_id, moment
    from (
        select i, 'c' || floor($size * power((hash(i, '{table}', $seed) % 1000000) / 1e6, 1.6))::int as customer_id,
            timestamp '2025-01-01' + to_seconds((hash(i, '{table}', 'when', $seed) % 31536000)::int) as moment
        from range({count}) as made(i)
    )
    where moment < timestamp '2025-01-01' + to_days(120 + (hash(customer_id, 'leaves') % 500)::int)
    order by moment
"""

DAGSTER = f"""
import dagster as dg
from orchestration.definitions import defs
models = dg.AssetSelection.groups("staging", "bookkeeping", "intermediate", "customer_360", "features").without_checks()
chosen = dg.Definitions(jobs=[dg.define_asset_job("models", models)])
job = dg.Definitions.merge(defs(), chosen).resolve_job_def("models")
with dg.DagsterInstance.ephemeral() as instance:
    done = job.execute_in_process(partition_key="{AS_OF}", instance=instance)
assert done.success
"""


@dataclass(frozen=True)
class Result:
    """One measured figure beside the bar it has to reach."""

    name: str
    value: float
    unit: str
    bar: str
    holds: bool | None
    reference: str
    seed: int
    size: str
    machine: str
    command: str


@dataclass(frozen=True)
class Build:
    """What one process cost: `seconds` on the clock, `processor` seconds of all cores, and the peak memory in GiB."""

    seconds: float
    processor: float
    memory: float

    def __add__(self, other: "Build") -> "Build":
        """Return what both cost, one after the other."""
        return Build(
            seconds=self.seconds + other.seconds,
            processor=self.processor + other.processor,
            memory=max(self.memory, other.memory),
        )


NO_BUILD = Build(seconds=0, processor=0, memory=0)


def write_world(path: Path, *, size: int) -> None:
    """Write the rows of `size` customers as ingestion leaves them, with the day that follows BEFORE set aside."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema raw_shop; create schema tomorrow; set enable_progress_bar = false")
        for name, query in WORLD.items():
            moments = MOMENTS.format(table=name, count=round(size * RATES.get(name, 0)))
            filled = query.replace("{moments}", moments)
            parameters = {key: value for key, value in {"size": size, "seed": SEED}.items() if f"${key}" in filled}
            connection.execute(f"create temp table {name} as {filled}", parameters)
            _land(connection, name)


def _land(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    made = {row[0] for row in connection.execute(f"describe {name}").fetchall()}
    columns = ", ".join(
        f"cast({column.name if column.name in made else 'null'} as {column.type}) as {column.name}"
        for column in TABLES[name].columns
    )
    moment = TABLES[name].moment if name != "customers" and TABLES[name].moment in made else "null::timestamp"
    until = {day: f"timestamp '{day}' - interval 8 hour" for day in (BEFORE, AS_OF)}
    for schema, day, rows in (
        ("raw_shop", BEFORE, f"{moment} is null or {moment} < {until[BEFORE]}"),
        ("tomorrow", AS_OF, f"{moment} >= {until[BEFORE]} and {moment} < {until[AS_OF]}"),
    ):
        connection.execute(
            f"create table {schema}.{name} as select {columns}, 'of {day}' as _batch, "
            f"timestamp '{day}' as _landed_at from {name} where {rows}"
        )


def land_tomorrow(home: Path) -> None:
    """Land the day after in the warehouse of `home`, as ingestion does: more rows in the same tables."""
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        for name in WORLD:
            connection.execute(f"insert into raw_shop.{name} from tomorrow.{name}; drop table tomorrow.{name}")


def run_dbt(
    home: Path,
    as_of: str,
    *,
    snapshots: Sequence[str] = (),
    command: str = "run",
    select: str = "",
    engine: Mapping[str, str] | None = None,
) -> Build:
    """Run dbt as of a day in a process of its own, on the DuckDB file of `home` or the engine of an environment."""
    from orchestration.dbt import write_run  # not above: the process that runs plain statements would import Dagster

    arguments = [sys.executable, "-m", "dbt.cli.main", command, "--quiet", "--project-dir", str(PROJECT)]
    arguments += ["--profiles-dir", str(PROJECT), "--target-path", str(home / "dbt"), "--log-path", str(home / "logs")]
    arguments += ["--vars", json.dumps(VARIABLES), *(["--select", *select.split()] if select else [])]
    arguments += ["--exclude", "leavers+"] if select else []  # they read what models learn from
    run = write_run(date.fromisoformat(as_of), map(date.fromisoformat, snapshots))
    return _measured(arguments, {**os.environ, **run, "HOLDFAST_HOME": str(home), **(engine or {})})


def _measured(arguments: Sequence[str], environment: Mapping[str, str]) -> Build:
    """Run a process to its end."""
    with tempfile.TemporaryFile("w+") as said:
        begun = time.perf_counter()
        process = subprocess.Popen(arguments, env=environment, cwd=ROOT, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read()[-4000:])
    return Build(seconds=seconds, processor=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / 2**20)


def plain_statements(home: Path, as_of: str, *, everything: bool) -> list[str]:
    """Return the models as plain statements, without dbt and without anything that tells which days changed.

    Those up to the features and the customer view; with `everything` every model and test that a night runs.
    """
    run_dbt(home, as_of, command="compile")
    nodes = json.loads((home / "dbt" / "manifest.json").read_text())["nodes"]
    models = {
        key: node for key, node in nodes.items() if node["schema"] in SCHEMAS and node["resource_type"] == "model"
    }
    tests = [node for node in nodes.values() if node["resource_type"] == "test" and node["attached_node"] in models]
    needed = _ancestors(models, "model.holdfast.customer_features") | {"model.holdfast.customers"}
    wanted = set(models) if everything else {key for key in needed if models[key]["name"] not in BOOKKEEPING}
    order = TopologicalSorter({key: set(models[key]["depends_on"]["nodes"]) & wanted for key in wanted}).static_order()
    built = [
        f"create or replace {'view' if node['config']['materialized'] == 'view' else 'table'} "
        f"{node['schema']}.{node['name']} as {node['compiled_code']}"
        for node in (models[key] for key in order)
    ]
    return built + ([f"select count(*) from ({node['compiled_code']})" for node in tests] if everything else [])


def _ancestors(models: Mapping[str, Any], name: str) -> set[str]:
    found = {name}
    for above in models[name]["depends_on"]["nodes"]:
        if above in models:
            found |= _ancestors(models, above)
    return found


def run_plain(home: Path, as_of: str, *, everything: bool = False) -> Build:
    """Run the plain statements on one connection, in a process of its own."""
    statements = plain_statements(home, as_of, everything=everything)
    (home / "plain.json").write_text(json.dumps(statements))
    return _measured([sys.executable, "-m", "bench.features", "--child", str(home)], os.environ)


def be_child(home: Path) -> None:
    """Execute the statements that stand in the folder."""
    with duckdb.connect(str(home / "warehouse.duckdb"), config={"memory_limit": "8GB"}) as connection:
        connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
        for schema in SCHEMAS:
            connection.execute(f"create schema if not exists {schema}")
        for statement in json.loads((home / "plain.json").read_text()):
            connection.execute(statement)


def run_dagster(home: Path) -> Build:
    """Materialize staging to features through Dagster, gates left out, in a process of its own."""
    feeds = "".join(f"  {name}: {{source: shop, from: none, columns: {_keys(name)}}}\n" for name in WORLD)
    (home / "company.yaml").write_text(COMPANY + feeds)
    environment = os.environ | {"HOLDFAST_HOME": str(home), "HOLDFAST_COMPANY": str(home / "company.yaml")}
    return _measured([sys.executable, "-W", "ignore", "-c", DAGSTER], environment)


def _keys(table: str) -> str:
    required = [column.name for column in TABLES[table].columns if column.is_required]
    return "{" + ", ".join(f"{name}: {name}" for name in required) + "}"


def measure(size: int, scratch: Path, parts: Sequence[str] = PARTS) -> Iterator[Result]:
    """Take the figures of one size: those of a whole build, and of what is asked for in `parts` beside it.

    Ratios compare processor seconds, which other work on the machine moves little; `start` is what dbt costs before it
    does anything, its project parsed, and is left out where two builds are compared with each other.
    """
    raw = scratch / "raw.duckdb"
    # in a process of its own: a process that is started counts the memory of the one that starts it as its own peak
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(write_world, raw, size=size).result()
    home = _home(scratch, "whole", raw)
    parsed, start = (run_dbt(home, BEFORE, select=NOTHING) for _ in range(2))
    view, slices = (run_dbt(home, BEFORE, select=select) for select in (VIEW, SLICES))
    whole = parsed + view + slices
    work = (view + slices).processor - 2 * start.processor
    yield _figure("dbt_seconds", whole.seconds, "s", size, whole)
    yield _figure("dbt_processor_ms_per_customer", 1000 * whole.processor / size, "ms", size, whole)
    yield _figure("peak_memory", whole.memory, "GiB", size, whole, MOST_MEMORY)
    if "day" in parts:
        yield from _one_more_day(home, size, raw, start=start, work=work)
    _drop(scratch, "whole")
    if "plain" in parts:
        plain = run_plain(_home(scratch, "plain", raw), BEFORE)
        _drop(scratch, "plain")
        yield _figure("dbt_over_plain_statements", whole.processor / plain.processor, "times", size, plain, MOST_TIMES)
    if "year" in parts:
        yield from _twelve_snapshots(size, raw, start=start, work=work, whole=whole)
    if "dagster" in parts:
        yield _beyond_sql(size, raw)
    if "lake" in parts:
        yield from _on_lake(size, raw, whole=whole, steps=(NOTHING, VIEW, SLICES))


def _on_lake(size: int, raw: Path, *, whole: Build, steps: Sequence[str]) -> Iterator[Result]:
    """Measure a whole build, step by step, on a lake with a PostgreSQL of its own, to which the landed rows are moved.

    The seconds of PostgreSQL's processes count as dbt's own do.
    """
    from bench.engines import run_postgres
    from orchestration.engines import DuckDb, Lake
    from orchestration.migration import migrate

    home = raw.parent / "lake"
    home.mkdir()
    with run_postgres(home / "postgres") as server:
        catalog = server.url.set(drivername="postgresql").render_as_string(hide_password=False)
        lake = Lake(catalog=catalog, files=str(home / "files"), scratch=home / "scratch")
        migrate(DuckDb(path=raw), lake)
        before = _read_processor(home / "postgres")
        built = sum((run_dbt(home, BEFORE, select=step, engine=lake.environment) for step in steps), NO_BUILD)
        catalogue = _read_processor(home / "postgres") - before
    share = (built.processor + catalogue) / whole.processor
    yield _figure("lake_over_duckdb_processor", share, "times", size, whole, MOST_ON_LAKE)
    yield _figure("lake_processor", built.processor + catalogue, "s", size, whole)
    yield _figure("lake_peak_memory", built.memory, "GiB", size, built, MOST_MEMORY)
    _drop(raw.parent, "lake")


def _read_processor(server: Path) -> float:
    """Return the processor seconds of a PostgreSQL server and of its processes that have ended."""
    pid = (server / "postmaster.pid").read_text().split()[0]
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _twelve_snapshots(size: int, raw: Path, *, start: Build, work: float, whole: Build) -> Iterator[Result]:
    """Measure a whole build with the slices of twelve months."""
    home = _home(raw.parent, "year", raw, is_landed=True)
    _, year = (run_dbt(home, AS_OF, snapshots=MONTHS, select=select) for select in (NOTHING, ""))
    _drop(raw.parent, "year")
    share = (year.processor - start.processor) / work
    yield _figure("twelve_snapshots_over_one", share, "times", size, whole, MOST_YEAR)
    yield _figure("twelve_snapshots_peak_memory", year.memory, "GiB", size, whole, MOST_MEMORY)


def _beyond_sql(size: int, raw: Path) -> Result:
    """Measure what Dagster and dbt add to every model and test as a plain statement."""
    scratch = raw.parent
    every = run_plain(_home(scratch, "every", raw, is_landed=True), AS_OF, everything=True)
    _drop(scratch, "every")
    dagster = run_dagster(_home(scratch, "dagster", raw, is_landed=True))
    _drop(scratch, "dagster")
    most = max(MOST_OVERHEAD, 0.2 * every.seconds)
    return _figure("dagster_and_dbt_beyond_sql", dagster.seconds - every.seconds, "s", size, every, most)


def _one_more_day(home: Path, size: int, raw: Path, *, start: Build, work: float) -> Iterator[Result]:
    """Measure the night after a whole build: the new day up to the view, the median of three, and then the slice."""
    land_tomorrow(home)
    warehouse, landed = home / "warehouse.duckdb", home / "landed.duckdb"
    shutil.move(warehouse, landed)
    nights = []
    for _ in range(NIGHTS):
        shutil.copy(landed, warehouse)
        nights.append(run_dbt(home, AS_OF, select=VIEW))
    landed.unlink()
    view = sorted(nights, key=lambda night: night.processor)[NIGHTS // 2]
    share = (view.processor - start.processor) / work
    yield _figure("one_more_day_share", share, "of a full build", size, view, MOST_SHARE)
    slices = run_dbt(home, AS_OF, select=SLICES)
    share = (slices.processor - start.processor) / work
    yield _figure("one_more_day_slice_share", share, "of a full build", size, slices)
    if size > MOST_COMPARED:
        return
    rebuilt = _home(home.parent, "rebuilt", raw, is_landed=True)
    run_dbt(rebuilt, AS_OF)
    different = list_different(home / "warehouse.duckdb", rebuilt / "warehouse.duckdb")
    yield _figure("one_more_day_tables_that_differ", len(different), "tables", size, view, 0)
    _drop(home.parent, "rebuilt")


def list_different(left: Path, right: Path) -> list[str]:
    """Return the day tables, views and slices of the last day that are not the same, row for row."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{left}' as l (read_only); attach '{right}' as r (read_only)")
        names = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where database_name = 'l' "
            "and schema_name in ('intermediate', 'customer_360', 'features') "
            f"and table_name not in {BOOKKEEPING} and table_name <> 'customer_tags' order by 1"
        ).fetchall()
        return [name for (name,) in names if _differ(connection, name)]


def _differ(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    columns = [row[0] for row in connection.execute(f"describe l.{name}").fetchall()]
    where = f"where as_of = date '{AS_OF}'" if "as_of" in columns else ""
    content = f"select count(*), sum(hash({', '.join(columns)})) from"
    return (
        connection.execute(f"{content} l.{name} {where}").fetchall()
        != connection.execute(f"{content} r.{name} {where}").fetchall()
    )


def _home(scratch: Path, name: str, warehouse: Path, *, is_landed: bool = False) -> Path:
    """Make a state directory of the landed rows, with the day after where `is_landed`."""
    home = scratch / name
    home.mkdir()
    shutil.copy(warehouse, home / "warehouse.duckdb")
    if is_landed:
        land_tomorrow(home)
    return home


def _drop(scratch: Path, name: str) -> None:
    shutil.rmtree(scratch / name)


def _figure(  # noqa: PLR0917 - a line of a table
    name: str, value: float, unit: str, size: int, beside: Build, most: float | None = None
) -> Result:
    kilobytes = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {kilobytes / 2**20:.0f} GiB, "
    return Result(
        name=name,
        value=round(value, 4),
        unit=unit,
        bar="" if most is None else f"<= {most:g}",
        holds=None if most is None else value <= most,
        reference=f"{beside.seconds:.1f} s, {beside.processor:.1f} processor s, {beside.memory:.1f} GiB, same run",
        seed=SEED,
        size=f"{size} customers, {size * EVENTS} events and {size * ORDERS} orders asked for",
        machine=machine + f"Python {platform.python_version()}, DuckDB {duckdb.__version__}",
        command="python -m bench.features",
    )


def main() -> None:
    """Take every measure, print it and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--parts", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--child", type=Path)
    asked = parser.parse_args()
    if asked.child:
        be_child(asked.child)
        return
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            for found in measure(size, Path(scratch), asked.parts):
                kept = [one for one in kept if (one["name"], one["size"]) != (found.name, found.size)]
                kept.append(asdict(found))
                RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
                print(
                    f"{found.name:<36} {found.value:>12} {found.unit:<16} {found.bar:<8} {found.reference}", flush=True
                )


if __name__ == "__main__":
    main()
