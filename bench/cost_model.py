"""What 100 million customers with 10 billion events a year would take: `make bench TOPIC=cost_model`.

Rows per second and bytes per row of both engines are measured here; seconds and memory per customer are those that the
topics features, scale and decide recorded for a million customers. The rest is arithmetic: time and memory grow with
the customers, and a night has six hours. The figures go to bench/results/cost_model.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.engines import Instance, open_instances, run_postgres
from bench.figures import RESULTS, Figure, record, without_bar

COMMAND = "make bench TOPIC=cost_model"
CUSTOMERS, EVENTS_A_YEAR, MONTHS = 100e6, 10e9, 13  # 12 snapshots to learn from, and today's
NIGHT_SECONDS, MEMORY = 6 * 3600, 24.0  # GiB of this machine
MEASURED = 1_000_000  # customers of the figures that are read
EVENTS, SNAPSHOT, FEATURES = 2_000_000, 100_000, 200
# what events of a shop and a feature snapshot look like: ids, moments, few words, numbers of which some are unknown
EVENT_ROWS = f"""
    select 'e' || lpad(i::varchar, 12, '0') as event_id, 'c' || (hash(i) % {EVENTS // 50})::varchar as customer_id,
        timestamp '2026-01-01' + to_seconds(i * 15) as occurred_at, ['visit', 'search', 'cart'][1 + i % 3] as type,
        '/p/' || (hash(i + 7) % 5000)::varchar as page, (hash(i + 3) % 10000) / 100.0 as dwell_seconds, 'b1' as _batch
    from range({EVENTS}) as rows(i)"""
FEATURE_ROWS = f"""
    select date '2026-01-01' as as_of, 'c' || i::varchar as customer_id,
        {", ".join(f"case when hash(i + {n}) % 5 > 0 then round(random(), 4) end as f{n}" for n in range(FEATURES))}
    from range({SNAPSHOT}) as rows(i)"""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of a night: seconds and GiB for a million customers on this machine, and where they were measured."""

    name: str
    seconds: float
    memory: float
    source: str

    @property
    def most_customers(self) -> float:
        """How many customers fill the night, or the memory."""
        return MEASURED * min(NIGHT_SECONDS / self.seconds, MEMORY / self.memory if self.memory else float("inf"))


def read_figure(topic: str, name: str, size: str = "") -> float:
    """Return a recorded figure; raises LookupError, naming the topic to measure, where there is none."""
    for row in json.loads((RESULTS / f"{topic}.json").read_text()):
        if row["name"] == name and str(row["size"]).startswith(size):
            return float(row["value"])
    raise LookupError(f"bench/results/{topic}.json has no figure `{name}`: run `make bench TOPIC={topic}` first.")


def read_stages() -> list[Stage]:
    """Return the stages whose work grows with the customers."""
    asked = f"{MEASURED} customers"
    return [
        Stage(
            name="features and customer view (dbt)",
            seconds=read_figure("features", "dbt_seconds", asked),
            memory=0.0,  # DuckDB spills beyond HOLDFAST_MEMORY_LIMIT
            source="features",
        ),
        Stage(
            name="scores with reasons",
            seconds=read_figure("scale", "scale: scoring with reasons"),
            memory=0.0,  # slice by slice
            source="scale",
        ),
        Stage(
            name="plan",
            seconds=read_figure("decide", "allocation: processor time"),
            memory=read_figure("decide", "allocation: memory of the process"),
            source="decide",
        ),
    ]


def measure_tables(instance: Instance, name: str) -> Iterator[Figure]:
    """Write events and a snapshot; yield rows per second and bytes per row."""
    with instance.engine.open() as connection:
        connection.execute("create schema raw_shop")
        connection.execute(f"create temp table events as {EVENT_ROWS}")
        connection.execute(f"create temp table features as {FEATURE_ROWS}")
        for table, rows in (("events", EVENTS), ("features", SNAPSHOT)):
            held = _count_bytes(instance)
            begun = time.perf_counter()
            connection.execute(f"create table raw_shop.{table} as select * from temp.{table}")
            if name == "duckdb":
                connection.execute("checkpoint")
            seconds = time.perf_counter() - begun
            bytes_of_row = (_count_bytes(instance) - held) / rows
            given = {"size": f"{rows:,} rows of {table}", "seed": 0, "command": COMMAND}
            yield Figure(f"{name}: {table} written", unit="rows/s", **without_bar(rows / seconds), **given)
            yield Figure(f"{name}: {table}", unit="bytes/row", **without_bar(bytes_of_row), **given)


def _count_bytes(instance: Instance) -> int:
    return sum(path.stat().st_size for path in instance.home.rglob("*") if path.suffix in {".parquet", ".duckdb"})


def extrapolate(events_bytes: float, features_bytes: float, rows_a_second: float) -> Iterator[Figure]:
    """Yield the model's figures."""
    size = f"{CUSTOMERS:,.0f} customers, {EVENTS_A_YEAR:,.0f} events a year, on paper"
    given = {"size": size, "seed": 0, "command": COMMAND}
    landing = EVENTS_A_YEAR / 365 / rows_a_second
    stages = read_stages()
    yield Figure("cost model: landing a day of events", unit="s", **without_bar(landing), **given)
    for stage in stages:
        hours = stage.seconds * CUSTOMERS / MEASURED / 3600
        yield Figure(
            f"cost model: {stage.name}", unit="hours", **without_bar(hours), **given,
            reference=f"full at {stage.most_customers / 1e6:.0f} million customers; make bench TOPIC={stage.source}",
        )  # fmt: skip
    first = min(stages, key=lambda each: each.most_customers)
    yield Figure(
        "cost model: customers at which the first stage breaks", unit="millions", reference=first.name,
        **without_bar(first.most_customers / 1e6), **given,
    )  # fmt: skip
    whole = NIGHT_SECONDS / sum(stage.seconds for stage in stages)
    yield Figure("cost model: customers that fill a night", unit="millions", **without_bar(whole), **given)
    stored = {"events of a year": EVENTS_A_YEAR * events_bytes, "13 snapshots": CUSTOMERS * MONTHS * features_bytes}
    for table, amount in stored.items():
        yield Figure(f"cost model: {table} on the lake", unit="GB", **without_bar(amount / 1e9), **given)


def measure(folder: Path) -> Iterator[Figure]:
    """Measure both engines, then compute."""
    figures: dict[str, float] = {}
    with run_postgres(folder / "postgres") as server:
        for name, instance in open_instances(folder, server, "costs").items():
            instance.home.mkdir()
            for figure in measure_tables(instance, name):
                figures[f"{figure.name} {figure.unit}"] = figure.value
                yield figure
    yield from extrapolate(
        figures["lake: events bytes/row"], figures["lake: features bytes/row"], figures["lake: events written rows/s"]
    )


def main() -> None:
    """Measure and write the topic's file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="costs-") as folder:
        record("cost_model", measure(Path(folder)))


if __name__ == "__main__":
    main()
