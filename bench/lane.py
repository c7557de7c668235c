"""How fast an event becomes an alert, what bursts, a million customers and kills do, and whether a replay agrees.

Run `python -m bench.lane` (all parts) or some of them, such as `--parts rate --seconds 600`, `--parts kills --kills 25
--further` (four times), `--parts lead --industries retail`; figures are laid over those in bench/results/lane.json. The
generator runs on the same machine. A probe is a customer whose events must raise one alert; its delay ends when another
process sees the alert in the operational store.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import httpx
import numpy as np

from bench.desk import TABLES
from bench.figures import RESULTS, Figure, at_least, at_most, machine, record, without_bar
from bench.lane_lead import INDUSTRIES, measure_lead
from company.policy import Policy, load_policy
from orchestration.pages import find_port
from retention.store.store import Store
from serving.access import read_access
from serving.lane.checkpoint import load_checkpoint, save_checkpoint
from serving.lane.follow import Lane
from serving.lane.log import FIELDS, SqliteLog
from serving.sign_in.keys import ApiKey, ApiKeys
from serving.snapshot import Snapshot

SEED = 20260101
COMPANY = Path(__file__).parents[1] / "examples" / "retail" / "company.yaml"
BATCH, RATE, BURST_RATE, BURST_SECONDS = 250, 5000, 20_000, 10
PROBES_PER_SECOND = 10
MOST_KILLS = 100
CUSTOMERS, COMPANY_SIZE = 50_000, 3000
ACCEPTED, TOO_MANY = 202, 429
NIGHTS, RESTART, LEAVING = 30, 15, 0.02  # of the replay: nights, the one with a restart, share of pages on leaving
QUIET_KINDS = ("visit", "view", "search", "add_to_cart", "login")


def main() -> None:
    """Measure the parts that are asked for, and record them."""
    parser = argparse.ArgumentParser(prog="python -m bench.lane")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=int, default=600, help="of the steady rate")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--further", action="store_true", help="add the kills to those that are recorded")
    parser.add_argument("--industries", nargs="*", default=list(INDUSTRIES), choices=list(INDUSTRIES), help="of `lead`")
    parser.add_argument("--customers", type=int, help="50,000, or 3,000 a company of `lead`")
    given = parser.parse_args()
    asked_for = given.customers
    for part in given.parts:
        given.customers = asked_for or (COMPANY_SIZE if part == "lead" else CUSTOMERS)
        with tempfile.TemporaryDirectory() as name:
            figures = PARTS[part](Path(name), given)
        load = f"load average of the machine while measured: {os.getloadavg()[0]:.1f}"
        arguments = " ".join(sys.argv[1:])
        common = {
            "seed": SEED,
            "command": f"python -m bench.lane {arguments}".strip(),
            "machine": machine(),
            "reference": load,
        }
        record("lane", [Figure(**common, **figure) for figure in figures])


def publish(path: Path, size: int, *, day: datetime | None = None) -> None:
    """Write the customers of a snapshot whose score is of today, or of a day."""
    today = (day or datetime.now(UTC)).date().isoformat()
    with duckdb.connect(str(path)) as connection:
        for table in ("customers", "about"):
            query = TABLES[table].format(seed=SEED, size=size).replace("2026-01-01", today)
            connection.execute(f"create table {table} as {query}")
        connection.execute("create index by_id on customers(customer_id)")


@dataclass(kw_only=True)
class Running:
    """The two programs over a folder, and what was sent to them."""

    folder: Path
    key: str
    port: int
    quiet: Sequence[str]
    probes: list[str]
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    count: int = 0
    acknowledged: int = 0
    refused: int = 0

    def start(self, program: str) -> None:
        """Start `collect` or `follow`."""
        command = [sys.executable, "-m", "serving.lane", program, "--log", str(self.folder / "lane" / "events.db")]
        command += ["--company", str(COMPANY), "--port", str(self.port), "--snapshot", str(self.folder / "h.duckdb")]
        url = {"HOLDFAST_OPERATIONAL_URL": f"sqlite:///{self.folder / 'operational.db'}"}
        self.programs[program] = subprocess.Popen(command, env=os.environ | url)

    def kill(self, program: str) -> None:
        """Kill a program as a machine that fails does."""
        self.programs[program].kill()
        self.programs[program].wait()

    def wait(self) -> None:
        """Return when the collector answers and the lane has beaten."""
        while self.progress() is None:
            time.sleep(0.2)
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/health").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.2)
            else:
                return

    def progress(self) -> tuple[int, int] | None:
        """Return how far the lane is and how far the log; None before both are there."""
        try:
            with closing(self._open("operational.db")) as store, closing(self._open("lane/events.db")) as log:
                (reached,) = store.execute("select position from lane_progress").fetchone() or (None,)
                (last,) = log.execute("select coalesce(max(position), 0) from events").fetchone()
        except sqlite3.OperationalError:
            return None
        return None if reached is None else (reached, last)

    def _open(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.folder / name}?mode=ro", uri=True, timeout=10)

    def drain(self) -> float:
        """Return the seconds until everything had its effect."""
        begun = time.monotonic()
        while (reached := self.progress()) is None or reached[0] < reached[1]:
            time.sleep(0.05)
        time.sleep(1)
        return time.monotonic() - begun - 1

    def stop(self) -> tuple[int, int, int]:
        """End both in order; return events in the log, events counted in the state, and alerts."""
        for program in self.programs.values():
            program.send_signal(signal.SIGTERM)
            program.wait()
        with np.load(self.folder / "lane" / "state.npz") as saved:
            counted = int(saved["counts"].astype(np.int64).sum())
        log = sqlite3.connect(self.folder / "lane" / "events.db")
        store = sqlite3.connect(self.folder / "operational.db")
        rows = log.execute("select count(*) from events").fetchone()[0]
        alerts = store.execute("select count(*) from alerts where state = 'open'").fetchone()[0]
        log.close()
        store.close()
        return rows, counted, alerts

    def make_batch(self, generator: Random, size: int, *, probe: str | None) -> list[dict[str, Any]]:
        """Return events of quiet customers, and two of a probe."""
        at = datetime.now(UTC).isoformat()
        events = [(generator.choice(self.quiet), generator.choice(QUIET_KINDS), "product") for _ in range(size)]
        if probe is not None:
            events[:2] = [(probe, "complaint", "product"), (probe, "visit", "leave")]
        self.count += len(events)
        first = self.count
        return [
            {"event_id": f"e{first + n}", "customer_id": who, "type": kind, "page": page, "occurred_at": at}
            for n, (who, kind, page) in enumerate(events)
        ]

    async def send(self, client: httpx.AsyncClient, events: list[dict[str, Any]], *, until_taken: bool = False) -> None:
        """Send a batch, again where it was not acknowledged."""
        while True:
            try:
                answer = await client.post(f"http://127.0.0.1:{self.port}/v1/events", content=json.dumps(events))
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == ACCEPTED:
                self.acknowledged += len(events)
                return
            self.refused += answer.status_code == TOO_MANY
            if not until_taken and answer.status_code != TOO_MANY:
                raise RuntimeError(answer.text)
            await asyncio.sleep(float(answer.headers.get("Retry-After", 0.1)))

    async def load(self, *, rate: int, seconds: float, probes_per_second: float) -> float:
        """Send at a rate by the clock, whatever the answers take; return the seconds that it took."""
        generator, tasks, begun = Random(SEED), set(), time.monotonic()
        headers = {"Authorization": f"Bearer {self.key}"}
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as client:
            for number in range(int(rate * seconds / BATCH)):
                due = begun + number * BATCH / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                is_probe = int(number * BATCH / rate * probes_per_second) > int(
                    (number - 1) * BATCH / rate * probes_per_second
                )
                probe = self.probes.pop() if is_probe and self.probes else None
                batch = self.make_batch(generator, BATCH, probe=probe)
                if probe:
                    self.sent[probe] = time.time()
                task = asyncio.create_task(self.send(client, batch, until_taken=True))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        return time.monotonic() - begun

    def watch(self, ending: threading.Event) -> None:
        """Note when alerts are seen in the operational store."""
        store, last = sqlite3.connect(f"file:{self.folder / 'operational.db'}?mode=ro", uri=True), 0
        while not ending.is_set():
            query = "select rowid, customer_id from alerts where rowid > ?"
            for row, customer in store.execute(query, (last,)).fetchall():
                last = row
                self.seen.setdefault(customer, time.time())
            time.sleep(0.005)
        store.close()


@contextmanager
def run(folder: Path, *, customers: int) -> Iterator[Running]:
    """Yield both programs, at work."""
    publish(folder / "h.duckdb", customers)
    with duckdb.connect(str(folder / "h.duckdb"), read_only=True) as connection:
        ids = {
            name: [row[0] for row in connection.execute(f"select customer_id from customers where {which}").fetchall()]
            for name, which in {"quiet": "probability < 0.2", "probes": "probability between 0.40 and 0.45"}.items()
        }
    with Store(f"sqlite:///{folder / 'operational.db'}") as store:
        store.migrate()
        key = ApiKeys(store.database).add(
            ApiKey(name="bench", role="collector"), by="bench", at=datetime.now(UTC), days=2
        )
    running = Running(folder=folder, key=key, port=find_port(8010), quiet=ids["quiet"], probes=ids["probes"])
    ending = threading.Event()
    watcher = threading.Thread(target=running.watch, args=(ending,))
    try:
        for program in ("collect", "follow"):
            running.start(program)
        running.wait()
        watcher.start()
        yield running
    finally:
        ending.set()
        if watcher.is_alive():
            watcher.join()
        for program in running.programs.values():
            program.kill()


def measure_rate(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Send at the steady rate."""
    with run(folder, customers=given.customers) as running:
        took = asyncio.run(running.load(rate=RATE, seconds=given.seconds, probes_per_second=PROBES_PER_SECOND))
        running.drain()
        asked, sent = dict(running.sent), running.acknowledged
        rows, counted, alerts = running.stop()
        delays = np.array([1000 * (running.seen[probe] - at) for probe, at in asked.items() if probe in running.seen])
    p50, p99 = np.percentile(delays, [50, 99]).tolist()
    size = f"{given.seconds} s, {given.customers:,} customers, {len(asked)} alerts, batches of {BATCH}"
    return [
        {"name": "events a second, sustained", "unit": "1/s", "size": size, **at_least(sent / took, 0.98 * RATE)},
        {"name": "event to alert in the owner's queue, p50", "unit": "ms", "size": size, **at_most(p50, 100)},
        {"name": "event to alert in the owner's queue, p99", "unit": "ms", "size": size, **at_most(p99, 1000)},
        {
            "name": "events acknowledged and not in the state, or twice",
            "unit": "events",
            "size": size,
            **at_most(abs(sent - counted) + abs(sent - rows), 0),
        },
        {"name": "alerts missing or double", "unit": "alerts", "size": size, **at_most(abs(len(asked) - alerts), 0)},
    ]


def measure_burst(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Send a burst and wait until it has had its effect."""
    with run(folder, customers=given.customers) as running:
        took = asyncio.run(running.load(rate=BURST_RATE, seconds=BURST_SECONDS, probes_per_second=PROBES_PER_SECOND))
        drained = running.drain()
        refused, sent = running.refused, running.acknowledged
        _, counted, _ = running.stop()
    size = f"{BURST_SECONDS} s at {BURST_RATE:,}/s, {given.customers:,} customers"
    return [
        {
            "name": "burst: seconds until all was acknowledged",
            "unit": "s",
            "size": size,
            **at_most(took, 1.5 * BURST_SECONDS),
        },
        {
            "name": "burst: seconds after that until all had its effect",
            "unit": "s",
            "size": size,
            **without_bar(drained),
        },
        {"name": "burst: requests asked to come back", "unit": "requests", "size": size, **without_bar(refused)},
        {"name": "burst: events lost or doubled", "unit": "events", "size": size, **at_most(abs(sent - counted), 0)},
    ]


def measure_kills(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Kill one or the other program at random moments while events come in."""
    generator, done = Random(SEED), 0
    with run(folder, customers=given.customers) as running:
        loading = threading.Thread(
            target=lambda: asyncio.run(running.load(rate=500, seconds=4.0 * given.kills, probes_per_second=1))
        )
        loading.start()
        while done < given.kills and loading.is_alive():
            time.sleep(generator.uniform(0.5, 2.5))
            for program in generator.choice((("collect",), ("follow",), ("collect", "follow"))):
                running.kill(program)
                running.start(program)
                done += 1
        loading.join()
        running.drain()
        asked, sent = len(running.sent), running.acknowledged
        rows, counted, alerts = running.stop()
    found = {
        "kills: events acknowledged and lost, or with two effects": abs(sent - rows) + abs(sent - counted),
        "kills: alerts missing or double": abs(asked - alerts),
        "kills of collector or lane": done,
        "kills: events sent meanwhile": sent,
        "kills: alerts asked for meanwhile": asked,
    }
    if given.further:
        recorded = {each["name"]: each["value"] for each in json.loads((RESULTS / "lane.json").read_text())}
        found = {name: value + int(recorded.get(name, 0)) for name, value in found.items()}
    lost, wrong, kills, events, probes = found
    about = {"size": f"{given.customers:,} customers, 500 events a second, both programs killed at random moments"}
    return [
        {"name": lost, "unit": "events", **about, **at_most(found[lost], 0)},
        {"name": wrong, "unit": "alerts", **about, **at_most(found[wrong], 0)},
        {"name": kills, "unit": "kills", **about, **at_least(found[kills], MOST_KILLS)},
        {"name": events, "unit": "events", **about, **without_bar(found[events])},
        {"name": probes, "unit": "alerts", **about, **without_bar(found[probes])},
    ]


def open_lane(folder: Path, name: str, log: SqliteLog, snapshot: Path, policy: Policy) -> Lane:
    """Return a lane with a store of its own."""
    store = Store(f"sqlite:///{folder / name}.db")
    store.migrate()
    return Lane(
        log=log, store=store, snapshot=Snapshot(path=snapshot), grant=read_access().grant("lane"), policy=policy,
        now=lambda: datetime.now(UTC),
    )  # fmt: skip


def measure_memory(folder: Path, _given: argparse.Namespace) -> list[dict[str, Any]]:
    """Follow an event of each of a million customers in a process of its own."""
    process = os.fork()
    if process == 0:
        size = 1_000_000
        publish(folder / "h.duckdb", size)
        log = SqliteLog(folder / "events.db")
        at = int(time.time() * 1000)
        empty = (None,) * (len(FIELDS) - 4)
        for start in range(0, size, 50_000):
            rows = [(f"e{n}", f"c{n:07d}", at, "visit", *empty) for n in range(start, start + 50_000)]
            log.append(rows, received_at=at)
        lane = open_lane(folder, "store", log, folder / "h.duckdb", load_policy())
        begun = time.process_time()
        lane.catch_up()
        while lane.step():
            pass
        spent, kilobytes = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        (folder / "found.json").write_text(json.dumps([kilobytes / 2**20, spent, len(lane.state.rows)]))
        os._exit(0)
    os.waitpid(process, 0)
    gigabytes, spent, seen = json.loads((folder / "found.json").read_text())
    size = f"{seen:,} customers, an event each"
    return [
        {"name": "state: peak memory of the lane", "unit": "GiB", "size": size, **at_most(gigabytes, 2)},
        {"name": "state: processor seconds per million events", "unit": "s", "size": size, **without_bar(spent)},
    ]


def measure_replay(folder: Path, _given: argparse.Namespace) -> list[dict[str, Any]]:
    """Live through a month of nights, then replay its log in other steps with a restart in the middle."""
    generator, log = Random(SEED), SqliteLog(folder / "events.db")
    begin, per_day, customers = datetime(2026, 1, 1, tzinfo=UTC), 500, 1000
    kinds = [*QUIET_KINDS, "complaint", "pay", "payment_failed", "uninstall"]
    for day in range(NIGHTS):
        publish(folder / f"night{day}.duckdb", customers, day=begin + timedelta(days=day))
        rows = []
        for number in range(per_day):
            late = generator.random() ** 6 * 3
            at = begin + timedelta(days=day + generator.random() - late)
            page = "leave" if generator.random() < LEAVING else None
            who = f"c{int(generator.random() ** 2 * customers):07d}"
            kind = generator.choice(kinds)
            rows.append(
                (f"e{day}-{number}", who, int(at.timestamp() * 1000), kind, None, None, page, None, None, None, None)
            )
        log.append(rows, received_at=int((begin + timedelta(days=day)).timestamp() * 1000))
    found = []
    for name, steps in (("lived", 100), ("replayed", 3777)):
        policy = load_policy({"tier_policy": "tiers", "lane": {"events_per_step": steps}})
        current = folder / f"{name}.duckdb"
        os.link(folder / "night0.duckdb", current)
        lane = open_lane(folder, name, log, current, policy)
        lane.catch_up()
        for day in range(NIGHTS):
            if day:
                current.unlink()
                os.link(folder / f"night{day}.duckdb", current)
                lane.refresh()
            if name == "replayed" and day == RESTART:
                save_checkpoint(lane, folder / "state.npz")
                lane.store.close()
                lane = open_lane(folder, name, log, current, policy)
                load_checkpoint(lane, folder / "state.npz")
                lane.catch_up()
            follow_to(lane, (day + 1) * per_day)
        alerts = lane.store.alerts.read()[["alert_id", "customer_id", "level", "state"]].sort_values("alert_id")
        counts = {who: lane.state.counts[row].tolist() for who, row in lane.state.rows.items()}
        found.append((alerts.to_dict("list"), counts))
        lane.store.close()
    size = f"30 nights, {NIGHTS * per_day:,} events, {len(found[0][0]['alert_id'])} alerts, {customers:,} customers"
    different = sum(found[0][1][who] != found[1][1].get(who) for who in found[0][1])
    missing = set(found[0][0]["alert_id"]) ^ set(found[1][0]["alert_id"])
    return [
        {
            "name": "replay of a month: customers whose state differs",
            "unit": "customers",
            "size": size,
            **at_most(different, 0),
        },
        {"name": "replay of a month: alerts that differ", "unit": "alerts", "size": size, **at_most(len(missing), 0)},
    ]


def follow_to(lane: Lane, position: int) -> None:
    """Step up to a position and no further."""
    while lane.position < position:
        rest = position - lane.position
        least = min(lane.policy.lane.events_per_step, rest)
        sized = lane.policy.lane.model_copy(update={"events_per_step": least})
        usual = lane.policy
        lane.policy = usual.model_copy(update={"lane": sized})
        lane.step()
        lane.policy = usual


PARTS = {
    "rate": measure_rate,
    "burst": measure_burst,
    "kills": measure_kills,
    "memory": measure_memory,
    "replay": measure_replay,
    "lead": measure_lead,
}

if __name__ == "__main__":
    main()
