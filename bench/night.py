"""How fast the desk and the API answer while a night writes, and how much longer the night takes because of them.

Run `python -m bench.night`: it runs the demo, then the nights after it in turn alone and next to the load, which goes
on for a minute at least. `--home` names an instance of the demo to copy instead of running it first. The figures are
printed and written to bench/results/night.json.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from statistics import mean, median, quantiles

import duckdb
import yaml

from bench.desk import REQUESTS_PER_SECOND, WORKERS, Client, Served, serve, wait_for
from bench.figures import Figure, at_most, machine, record, without_bar

SEED = 20260101
COMPANY = Path("examples/complete_journey/company.yaml")
FIRST = date(2017, 12, 1)
NIGHTS = ("alone", "loaded", "alone", "loaded", "alone")
LEAST_SECONDS, ROUNDS = 60, 100
COMMAND = "make bench TOPIC=night"


def main() -> None:
    """Run the nights, ask meanwhile, and record."""
    parser = argparse.ArgumentParser(prog="python -m bench.night")
    parser.add_argument("--home", type=Path, help="an instance of the demo")
    parser.add_argument("--first", type=date.fromisoformat, default=FIRST, help="the last day that it has run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        if given.home is None:
            run_night(home, given.first)
        else:
            shutil.copytree(given.home, home)
        run_night(home, given.first + timedelta(days=1))  # which may have to migrate and to compile
        figures = [*measure(home, given.first + timedelta(days=2))]
    common = {
        "reference": f"load average of the machine while measured: {os.getloadavg()[0]:.1f}",
        "size": "the demo's 2,469 customers",
        "seed": SEED,
        "command": COMMAND,
        "machine": machine(),
    }
    record("night", [Figure(**figure, **common) for figure in figures], replaces=(f"{REQUESTS_PER_SECOND} requests",))


def run_night(home: Path, as_of: date) -> float:
    """Return the seconds of a night; raises when it fails."""
    command = [sys.executable, "-m", "orchestration.cli", "run", "--company", str(COMPANY), "--home", str(home)]
    begun = time.perf_counter()
    subprocess.run([*command, "--as-of", as_of.isoformat()], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


KINDS = {  # of requests: the share of each in 100, and whether a person or a program asks
    "/customers/{}": (30, "person"),
    "/v1/customers/{}": (30, "program"),
    "/v1/customers/{}/scores": (15, "program"),
    "/v1/alerts?limit=20": (15, "program"),
    "/customers?lifecycle_stage=dormant": (5, "person"),
    "/today": (5, "person"),
}


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What is asked of a server, about customers at random."""

    server: Served
    customers: list[str]

    def draw(self, random: Random) -> tuple[Client, str]:
        """Return somebody and what they ask."""
        kind = random.choices(list(KINDS), weights=[share for share, _ in KINDS.values()])[0]
        return self._client(kind), kind.format(random.choice(self.customers))

    def measure_processor(self) -> Iterator[dict[str, object]]:
        """Yield the processor time of a request by its kind, each of another customer, and of the mixture."""
        milliseconds = {kind: 1000 * self._time(kind) / ROUNDS for kind in KINDS}
        for kind, each in milliseconds.items():
            yield {"name": f"processor of a request: {kind}", "unit": "ms", **without_bar(round(each, 1))}
        mixed = sum(share * milliseconds[kind] for kind, (share, _) in KINDS.items()) / 100
        yield {"name": "processor of a request, mixed", "unit": "ms", **at_most(round(mixed, 1), 6)}

    def _time(self, kind: str) -> float:
        client, customers = self._client(kind), Random(f"{SEED} {kind}").sample(self.customers, ROUNDS + 1)
        client.fetch(kind.format(customers.pop()))  # the first has templates compiled
        return self.server.measure_processor(lambda: [client.fetch(kind.format(each)) for each in customers])

    def _client(self, kind: str) -> Client:
        client: Client = getattr(self.server, KINDS[kind][1])
        return client


@dataclass
class Load:
    """Requests at an even rate until it is to end, each timed from the moment at which it was due."""

    draw: Callable[[Random], tuple[Client, str]]
    asked: "list[Future[float]]" = field(default_factory=list)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Ask for the length of a block, and for a minute at least; raises for the first that was not answered."""
        is_over, begun = threading.Event(), time.perf_counter()
        with ThreadPoolExecutor(WORKERS) as pool:
            thread = threading.Thread(target=self._ask_on, args=(pool, is_over, Random(SEED)))
            thread.start()
            yield
            time.sleep(max(LEAST_SECONDS - (time.perf_counter() - begun), 0))
            is_over.set()
            thread.join()

    def _ask_on(self, pool: ThreadPoolExecutor, is_over: threading.Event, random: Random) -> None:
        due = time.perf_counter()
        while not is_over.is_set():
            client, path = self.draw(random)
            self.asked.append(pool.submit(_ask, client, path, due))
            due += 1 / REQUESTS_PER_SECOND
            time.sleep(max(due - time.perf_counter(), 0))

    @property
    def times(self) -> list[float]:
        """Seconds of every request."""
        return [each.result() for each in self.asked]


def _ask(client: Client, path: str, due: float) -> float:
    client.fetch(path)
    return time.perf_counter() - due


def measure(home: Path, first: date) -> Iterator[dict[str, object]]:
    """Yield how long nights take alone and under load, and requests meanwhile."""
    took: dict[str, list[float]] = {"alone": [], "loaded": []}
    times: list[float] = []
    with served(home) as mixture:
        yield from mixture.measure_processor()
        for number, kind in enumerate(NIGHTS):
            as_of = first + timedelta(days=number)
            if kind == "alone":
                took[kind].append(run_night(home, as_of))
                continue
            load = Load(mixture.draw)
            with load.going():
                took[kind].append(run_night(home, as_of))
            times += load.times
    alone, loaded = mean(took["alone"]), mean(took["loaded"])
    name = f"{REQUESTS_PER_SECOND} requests a second while a night writes and publishes"
    yield {"name": f"{name}: 99 in 100", "unit": "s", **at_most(round(quantiles(times, n=100)[98], 3), 0.5)}
    half = round(median(times), 3)
    yield {"name": f"{name}: half, none without an answer", "unit": "s", **at_most(half, 0.5)}
    yield {"name": "requests asked next to nights", "unit": "", **without_bar(len(times))}
    yield {"name": "a night alone", "unit": "s", **without_bar(round(alone, 1))}
    yield {
        "name": "a night next to the load, longer by",
        "unit": "%",
        **at_most(round(100 * (loaded / alone - 1), 1), 15),
    }


@contextmanager
def served(home: Path) -> Iterator[Mixture]:
    """Serve the instance's desk and API."""
    snapshot, company = home / "published" / "holdfast.duckdb", home / "for_the_desk.yaml"
    content = yaml.safe_load(COMPANY.read_text(encoding="utf-8"))
    limits = {"desk": {"api": {"requests_per_minute": 10**6}}}
    company.write_text(yaml.safe_dump({**content, "policy": {**content.get("policy", {}), **limits}}), encoding="utf-8")
    with duckdb.connect(str(snapshot), read_only=True) as connection:
        customers = [row[0] for row in connection.execute("select customer_id from customers").fetchall()]

    with serve(snapshot, company, f"sqlite:///{home / 'operational.db'}") as server:
        wait_for(server.person, "/sign-in")
        yield Mixture(server=server, customers=customers)


if __name__ == "__main__":
    main()
