"""What an erasure leaves behind: `make bench TOPIC=erasure` writes bench/results/erasure.json.

A simulated shop is run for some nights, with a vault and linked ids; then some customers are erased at once by the
command line. What must hold is asked without the code under test: every file is read for every value of theirs, every
text column of every table too; the rows of everybody else are compared with those of a copy from before; another
night runs on the same sources. On a copy the same erasure is killed again and again, and must end in the same state.
`--folder` keeps the instances, so that `--parts` can be measured one after the other, none longer than some minutes.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from bench.figures import Figure, at_least, at_most, record, without_bar
from bench.privacy import ROOT, make_environment, run_pipeline
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment, load_deployment
from orchestration.privacy.dates import compute_due_date
from orchestration.privacy.erasing import SIGNING_KEY, Erasing
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.settings import read_settings
from privacy.identifiers import Identifiers, join, make_keyring
from privacy.receipt import ReceiptError, public_key_of, verify
from retention.store.store import Store
from simulator.parameters import load_parameters
from simulator.story import START, simulate

COMMAND, SEED, INDUSTRY = "make bench TOPIC=erasure", 20260101, "retail"
PARTS = ("build", "plan", "erase", "kill", "live_on")
DAYS_OF_A_MONTH = 30


@dataclass(frozen=True)
class Place:
    """A simulated world with its vault, and the instance that reads it."""

    world: Path
    instance: Path

    @property
    def home(self) -> Path:
        """The state folder."""
        return self.instance / "home"

    @property
    def environment(self) -> dict[str, str]:
        """What every process here is started with."""
        return make_environment(self.world, self.instance)

    def copy(self, folder: Path) -> "Place":
        """Return a copy of world, vault and instance."""
        shutil.copytree(self.world, folder / "world")
        shutil.copytree(self.instance, folder / "instance")
        return Place(folder / "world", folder / "instance")

    @contextmanager
    def open(self) -> Iterator[tuple[Deployment, Store, Erasing]]:
        """Yield what the commands work with."""
        deployment = load_deployment(read_settings(self.environment))
        with Store(deployment.settings.operational_url) as store:
            store.migrate()
            keyring = make_keyring(self.environment["HOLDFAST_TOKEN_KEY"])
            now = lambda: datetime.now(UTC)  # noqa: E731 - the clock of a bench
            yield deployment, store, Erasing(deployment=deployment, store=store, keyring=keyring, by="bench", now=now)


def build(folder: Path, *, customers: int, months: int, nights: int) -> Place:
    """Simulate a shop and run it for some nights, unless the folder holds it already."""
    place = Place(folder / "world", folder / "instance")
    if not place.home.exists():
        for name in ("tmp", "user"):
            (place.instance / name).mkdir(parents=True)
        simulate(load_parameters(INDUSTRY), place.world, customers=customers, months=months, seed=SEED)
        for night in range(nights):
            run_night(place, months=months, night=night)
    return place


def run_night(place: Place, *, months: int, night: int) -> None:
    """Run the pipeline for one more day."""
    as_of = (START + timedelta(days=DAYS_OF_A_MONTH * (months - 1) + night)).isoformat()
    run_pipeline(place.world, place.instance, industry=INDUSTRY, as_of=as_of)


def request_all(place: Place, count: int) -> tuple[list[str], Identifiers]:
    """Receive, verify and plan the erasure of every so many-th customer, and of a company with its contacts.

    Returns the requests and what finds the customers.
    """
    with duckdb.connect(str(place.home / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute("select distinct customer_id from customer_360.customers order by 1").fetchall()
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_columns() where column_name = 'parent_customer_id' "
            "and starts_with(schema_name, 'raw_')"
        ).fetchall()
        query = "select min(parent_customer_id) from {}"
        parents = [connection.execute(query.format(table)).fetchone()[0] for (table,) in tables]  # type: ignore[index]
    chosen = [row[0] for row in rows[:: max(len(rows) // count, 1)]][: count - 1]
    chosen = list(dict.fromkeys([*chosen, *filter(None, parents)]))[:count]
    with place.open() as (deployment, store, erasing):
        requests, today = PrivacyRequests(store), datetime.now(UTC).date()
        due_on = compute_due_date(deployment, "gdpr", received_on=today)
        given: dict[str, Any] = {"by": "bench", "at": datetime.now(UTC), "note": "for measuring"}
        received = [
            requests.receive(
                "erasure", [each], law="gdpr", received_on=today, due_on=due_on, keyring=erasing.keyring, **given
            )
            for each in chosen
        ]
        erasing.plan([requests.move(each, "verified", **given) for each in received], with_contacts=True)
        planned = [requests.find(each.request_id) for each in received]
        found = join(requests.unseal(each, keyring=erasing.keyring) for each in planned)
        return [each.request_id for each in planned], found


def count_customers(place: Place) -> int:
    """Return how many customers the instance has."""
    with duckdb.connect(str(place.home / "warehouse.duckdb"), read_only=True) as connection:
        row = connection.execute("select count(*) from customer_360.customers").fetchone()
    return int(row[0]) if row else 0


def start_erasing(place: Place, requests: list[str]) -> "subprocess.Popen[bytes]":
    """Start the command that erases, as a process of its own."""
    command = [sys.executable, "-m", "orchestration.cli", "privacy", "run", *requests, "--by", "bench"]
    with (place.instance / "erasing.out").open("ab") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=place.environment, stdout=log, stderr=log, start_new_session=True
        )


def measure(place: Place, requests: list[str]) -> tuple[float, float]:
    """Erase; return seconds and the peak of memory in MB."""
    began, started = time.perf_counter(), start_erasing(place, requests)
    _, status, used = os.wait4(started.pid, 0)
    if status:
        raise RuntimeError(f"status {status}: {(place.instance / 'erasing.out').read_text()[-4000:]}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def erase_with_kills(place: Place, requests: list[str], *, kills: int, seconds: float) -> int:
    """Erase, killed at so many random moments; return how many kills met the command at work."""
    rng, met = random.Random(SEED), 0
    for _ in range(kills):
        started = start_erasing(place, requests)
        try:
            started.wait(timeout=rng.uniform(0.2, 1) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            met += 1
    if not is_done(place, requests):
        measure(place, requests)
    return met


def is_done(place: Place, requests: list[str]) -> bool:
    """Return whether all requests are at their end."""
    with place.open() as (_, store, _erasing):
        states = {each.request_id: each.state for each in PrivacyRequests(store).read()}
    return {states[each] for each in requests} == {"done"}


def find_in_files(place: Place, values: Identifiers) -> dict[str, int]:
    """Return by file how many of the values stand in its bytes, one search each; the world without its sources."""
    searched = [value.encode() for value in values.searched]
    files = [path for path in (*place.home.rglob("*"), *place.world.glob("vault*.db")) if path.is_file()]
    hits = {str(path): sum(value in content for value in searched) for path in files for content in [path.read_bytes()]}
    return {path: count for path, count in hits.items() if count}


def find_in_columns(place: Place, values: Identifiers) -> dict[str, int]:
    """Return by column how many cells are or hold one of the values, ids that are plain numbers among them."""
    found = {}
    for path in place.home.rglob("*.duckdb"):
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, table, name in connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns() where not internal "
                "and database_name = current_database() and (contains(data_type, 'VARCHAR') or data_type = 'JSON')"
            ).fetchall():
                wanted = values.customers if name == "customer_id" else values.searched
                cells = connection.execute(
                    f'select count(distinct "{name}") from "{schema}"."{table}", unnest($wanted) as w(wanted) '
                    f'where contains("{name}"::varchar, wanted)'
                    if name != "customer_id"
                    else f'select count(*) from "{schema}"."{table}" where "{name}" in (select unnest($wanted))',
                    {"wanted": list(wanted)},
                ).fetchone()
                if cells and cells[0]:
                    found[f"{path.name} {schema}.{table}.{name}"] = cells[0]
    return found


def compare_others(before: Path, after: Path, values: Identifiers) -> dict[str, int]:
    """Return by table how many rows differ that are not of the erased; a reference to one of them may be empty."""
    changed = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{before}' as b (read_only)")
        connection.execute(f"attach '{after}' as a (read_only)")
        for name, values_of in (("ids", values.customers), ("tokens", values.tokens), ("searched", values.searched)):
            connection.execute(
                f"create table {name} as select unnest($values::varchar[]) as value", {"values": list(values_of)}
            )
        tables = connection.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns() where database_name = 'b' "
            "and (schema_name, table_name) in (select (schema_name, table_name) from duckdb_tables() "
            "where database_name = 'b') group by all order by all"
        ).fetchall()
        for schema, table, columns in tables:
            name, others = f'"{schema}"."{table}"', " and ".join(_not_theirs(columns)) or "true"
            old = f"select * {_emptied(columns)} from b.{name} where {others}"
            new = f"select * from a.{name}"
            query = f"select count(*) from (({old} except all {new}) union all ({new} except all {old}))"
            row = connection.execute(query).fetchone()
            if row and row[0]:
                changed[f"{schema}.{table}"] = row[0]
    return changed


def _not_theirs(columns: list[str]) -> Iterator[str]:
    for name in {"customer_id", "left_id", "right_id"} & {*columns}:
        yield f"({name} is null or {name} not in (from ids))"
    if "token" in columns:
        yield "token not in (from tokens)"
    if "raw" in columns:
        yield "not exists (select 1 from searched s where contains(raw::varchar, s.value))"


def _emptied(columns: list[str]) -> str:
    parent = "parent_customer_id"
    return f"replace (if({parent} in (from ids), null, {parent}) as {parent})" if parent in columns else ""


def count_verified(place: Place, requests: list[str]) -> int:
    """Return how many receipts carry the instance's signature."""
    folder, count = place.home / OWN_RECORDS, 0
    for request in requests:
        try:
            verify(folder / f"receipt-{request}.json", public_key_file=public_key_of(folder / SIGNING_KEY))
        except ReceiptError as error:
            print(error)
        else:
            count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The places of a measurement below `folder`, and what was asked for in it."""

    folder: Path
    asked: argparse.Namespace

    @property
    def original(self) -> Place:
        """The instance as its nights left it."""
        return Place(self.folder / "built" / "world", self.folder / "built" / "instance")

    @property
    def erased(self) -> Place:
        """The copy from which is erased at once."""
        return Place(self.folder / "erased" / "world", self.folder / "erased" / "instance")

    @property
    def planned(self) -> Place:
        """The copy with everything planned and nothing done."""
        return Place(self.folder / "planned" / "world", self.folder / "planned" / "instance")

    @property
    def before(self) -> Path:
        """The warehouse before the erasure."""
        return self.planned.home / "warehouse.duckdb"

    def build(self) -> None:
        """Run the nights."""
        build(self.folder / "built", customers=self.asked.customers, months=self.asked.months, nights=self.asked.nights)

    def plan(self) -> None:
        """Ask for the erasures on a copy, and keep what finds the customers."""
        shutil.rmtree(self.folder / "planned", ignore_errors=True)
        self.original.copy(self.folder / "planned")
        requests, values = request_all(self.planned, self.asked.erased)
        erased = f"{len(requests)} of {count_customers(self.planned)} customers"
        size = f"{erased}, with contacts {len(values.customers)} ids, {len(values.searched)} values searched for"
        megabytes = sum(path.stat().st_size for path in self.planned.home.rglob("*")) / 1e6
        content = {"requests": requests, "values": asdict(values), "size": f"{size}, {megabytes:.0f} MB"}
        (self.folder / "asked.json").write_text(json.dumps(content))

    def erase(self) -> list[Figure]:
        """Erase at once, and ask what is left."""
        shutil.rmtree(self.folder / "erased", ignore_errors=True)
        place, values = self.planned.copy(self.folder / "erased"), self.values
        seconds, memory = measure(place, self.requests)
        others = compare_others(self.before, place.home / "warehouse.duckdb", values)
        files, columns = find_in_files(place, values), find_in_columns(place, values)
        verified = count_verified(place, self.requests)
        print(json.dumps({"others": others, "files": files, "columns": columns}))
        return [
            self.figure("files with a value of the erased", at_most(len(files), 0)),
            self.figure("columns with a value of the erased", at_most(len(columns), 0)),
            self.figure("tables in which rows of others changed", at_most(len(others), 0)),
            self.figure("receipts that verify", at_least(verified, len(self.requests)), unit="receipts"),
            self.figure("time of the erasure, with its search", without_bar(seconds), unit="s"),
            self.figure("peak memory of the erasure", without_bar(memory), unit="MB"),
        ]

    def kill(self) -> list[Figure]:
        """Erase on another copy, killed at random moments, and compare with the one that was left alone."""
        shutil.rmtree(self.folder / "killed", ignore_errors=True)
        place, values = self.planned.copy(self.folder / "killed"), self.values
        met = erase_with_kills(place, self.requests, kills=self.asked.kills, seconds=self.asked.seconds)
        ends = compare_others(
            self.erased.home / "warehouse.duckdb", place.home / "warehouse.duckdb", Identifiers(customers=())
        )
        left = find_in_files(place, values) | find_in_columns(place, values)
        print(json.dumps({"ends": ends, "left": left}))
        return [
            self.figure("kills that met the erasure at work", without_bar(met), unit="kills"),
            self.figure("differences to an erasure that was not killed", at_most(len(ends) + len(left), 0)),
        ]

    def live_on(self) -> list[Figure]:
        """Run another night on the same sources, and look for whoever was erased."""
        run_night(self.erased, months=self.asked.months, night=self.asked.nights)
        back = find_in_columns(self.erased, self.values) | find_in_files(self.erased, self.values)
        print(json.dumps({"back": back}))
        return [self.figure("places to which the next night brought anybody back", at_most(len(back), 0))]

    def figure(self, name: str, value: dict[str, Any], *, unit: str = "places") -> Figure:
        """Return a figure of this measurement."""
        arguments = " ".join(sys.argv[1:])
        command = f"{COMMAND} ARGS='{arguments}'" if arguments else COMMAND
        return Figure(name=name, unit=unit, size=self._known["size"], seed=SEED, command=command, **value)

    @property
    def requests(self) -> list[str]:
        """The requests that were planned."""
        return list(self._known["requests"])

    @property
    def values(self) -> Identifiers:
        """What finds the customers."""
        return Identifiers(**{name: tuple(each) for name, each in self._known["values"].items()})

    @property
    def _known(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "asked.json").read_text()))


def main() -> None:
    """Build, erase, ask what is left, kill, run another night, and write the figures down; all of it or some parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--erased", type=int, default=100)
    parser.add_argument("--months", type=int, default=8)
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30, help="within which a kill falls")
    parser.add_argument("--folder", type=Path, help="where the parts find what earlier ones left")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(folder=asked.folder or Path(scratch), asked=asked)
        for part in asked.parts:
            record("erasure", getattr(bench, part)() or [])


if __name__ == "__main__":
    main()
