"""Several writers and readers of one lake at once, one of them killed: `make bench TOPIC=lake_writers`.

Two backfills and a night, each a process of its own, replace days of a table and append to a ledger, each day in its
turn, and begin again until the minutes are over; readers look at both all the while. The first backfill is killed by
SIGKILL and started again. What stands at the end is compared with the same writers one after the other. The figures go
to bench/results/lake_writers.json; `--minutes 3` takes less time.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.engines import Instance, open_instances, run_postgres
from bench.figures import Figure, at_most, record, without_bar
from orchestration.warehouse import LingeringWarehouse, Warehouse

COMMAND = "make bench TOPIC=lake_writers"
CUSTOMERS, READERS, MINUTES = 2_000, 20, 10.0
SCORES, LEDGER = "scores.visits", "retention.entries"
FIRST = date(2026, 1, 1)
WRITERS = {"backfill one": range(30), "backfill two": range(30, 60), "night": range(60, 90)}


def make_day(number: int) -> pa.Table:
    """Return the scores of a day, which depend on the day alone."""
    values = np.random.default_rng(number).random(CUSTOMERS)
    days = pa.array([FIRST + timedelta(days=number)] * CUSTOMERS)
    return pa.table({"as_of": days, "customer_id": [f"c{place}" for place in range(CUSTOMERS)], "score": values})


def write(instance: Instance, days: range, until: float = 0.0) -> None:
    """Write every day, the scores and the entry in one turn, again and again until a moment of the monotonic clock."""
    warehouse, is_first = LingeringWarehouse(engine=instance.engine), True
    while is_first or time.monotonic() < until:
        _write_days(warehouse, days)
        is_first = False


def _write_days(warehouse: Warehouse, days: range) -> None:
    for number in days:
        day = FIRST + timedelta(days=number)
        with warehouse.engine.turn():
            warehouse.replace_day(SCORES, make_day(number), as_of=day)
            entry = pa.table({"as_of": [day], "rows_scored": [CUSTOMERS]})
            warehouse.replace_rows(LEDGER, entry, key="as_of")


def read(instance: Instance, folder: Path, ended: "multiprocessing.synchronize.Event") -> None:
    """Look again and again until the writers have ended; note how often, and what was not whole."""
    warehouse, looks, faults = Warehouse(engine=instance.engine), 0, []
    with warehouse.connect():
        while not ended.is_set():
            try:
                days = warehouse.read(f"select as_of, count(*) as n from {SCORES} group by as_of").to_pylist()
                faults += [f"{each['as_of']} has {each['n']} rows" for each in days if each["n"] != CUSTOMERS]
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is what is counted
                faults.append(str(error).splitlines()[0])
            looks += 1
            time.sleep(0.5)
    (folder / f"{os.getpid()}.json").write_text(json.dumps({"looks": looks, "faults": faults}))


def race(instance: Instance, folder: Path, *, minutes: float) -> dict[str, object]:
    """Run all writers and readers at once, kill the first writer once, and return what happened."""
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    write(instance, range(1))  # readers need a table
    readers = [context.Process(target=read, args=(instance, folder, ended)) for _ in range(READERS)]
    begun, until = time.perf_counter(), time.monotonic() + 60 * minutes
    writers = [context.Process(target=write, args=(instance, days, until)) for days in WRITERS.values()]
    for process in (*readers, *writers):
        process.start()
    committed = _kill_in_the_middle(instance, writers[0])
    again = context.Process(target=write, args=(instance, WRITERS["backfill one"], until))
    again.start()
    for process in (*writers[1:], again):
        process.join()
    seconds = time.perf_counter() - begun
    ended.set()
    for process in readers:
        process.join()
    notes = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {
        "seconds": seconds,
        "failed writers": sum(process.exitcode != 0 for process in (*writers[1:], again)),
        "readers": len(notes),
        "looks": sum(note["looks"] for note in notes),
        "faults": [fault for note in notes for fault in note["faults"]],
        "lost": committed,
    }


def _kill_in_the_middle(instance: Instance, writer: "multiprocessing.process.BaseProcess") -> int:
    """Kill a writer when it has committed some days; return how many of those are gone afterwards."""
    warehouse = Warehouse(engine=instance.engine)
    own = f"select count(*) from {LEDGER} where as_of < $until"
    until = {"until": FIRST + timedelta(days=WRITERS["backfill one"].stop)}
    while (before := warehouse.read_value(own, until)) < len(WRITERS["backfill one"]) // 4:
        time.sleep(0.2)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    return max(0, before - warehouse.read_value(own, until))


def count_differences(left: Instance, right: Instance) -> int:
    """Return how many rows of either table only one of the two holds."""
    different = 0
    for table, order in ((SCORES, "as_of, customer_id"), (LEDGER, "as_of")):
        rows = [Warehouse(engine=each.engine).read(f"from {table} order by {order}") for each in (left, right)]
        different += 0 if rows[0].equals(rows[1]) else max(map(len, rows))
    return different


def measure(folder: Path, *, minutes: float) -> Iterator[Figure]:
    """Race on one lake, write one after the other on another, and compare."""
    with run_postgres(folder / "postgres") as server:
        raced = open_instances(folder, server, "raced")["lake"]
        serial = open_instances(folder, server, "serial")["lake"]
        for instance in (raced, serial):
            instance.home.mkdir()
        (folder / "notes").mkdir()
        happened = race(raced, folder / "notes", minutes=minutes)
        for days in WRITERS.values():
            write(serial, days)
        different = count_differences(raced, serial)
    size = (
        f"3 writers of 30 days with {CUSTOMERS:,} rows each, {happened['readers']} readers, {happened['seconds']:.0f} s"
    )
    given = {"size": size, "seed": 0, "command": COMMAND}
    faults = happened["faults"]
    yield Figure(
        "lake: errors of writers and readers at once", unit="errors", reference="; ".join(sorted(set(faults))[:5]),
        **at_most(len(faults) + happened["failed writers"], 0), **given,
    )  # fmt: skip
    yield Figure("lake: rows that differ from a serial run", unit="rows", **at_most(different, 0), **given)
    yield Figure("lake: committed days lost by SIGKILL", unit="days", **at_most(happened["lost"], 0), **given)
    yield Figure("lake: looks of readers while others wrote", unit="looks", **without_bar(happened["looks"]), **given)


def main() -> None:
    """Measure and write the topic's file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-writers-") as folder:
        record("lake_writers", measure(Path(folder), minutes=asked.minutes))


if __name__ == "__main__":
    sys.exit(main())
