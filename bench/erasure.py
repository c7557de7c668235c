"""What an erasure leaves behind: `make bench TOPIC=erasure` writes bench/results/erasure.json.

A simulated shop is run for some nights, with a vault and linked ids; then some customers are erased at once by the
command line. What must hold is asked without the code under test: every file is read for every value of theirs, every
text column of every table too; the rows of everybody else are compared with those of a copy from before; another
night runs on the same sources. On a copy the same erasure is killed again and again, and must end in the same state.
`--folder` keeps the instances, so that `--parts` can be measured one after the other, none longer than some minutes;
kills are counted on where an earlier call stopped. `--times` repeats every row about a customer under other ids before
anything is asked for: so an instance becomes large whose nights would take hours.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from bench.figures import Figure, at_least, at_most, record, without_bar
from bench.privacy import ROOT, make_environment, run_pipeline
from bench.repeated import SPARING, is_repeated, repeat
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment, load_deployment
from orchestration.privacy.answering import export
from orchestration.privacy.dates import compute_due_date
from orchestration.privacy.erasing import SIGNING_KEY, Erasing
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.row_digest import digest_rows
from orchestration.settings import read_settings
from privacy.identifiers import Identifiers, join, make_keyring
from privacy.receipt import ReceiptError, public_key_of, verify
from retention.store.store import Store
from simulator.parameters import load_parameters
from simulator.story import START, simulate

COMMAND, SEED, INDUSTRY = "make bench TOPIC=erasure", 20260101, "retail"
PARTS = ("build", "plan", "erase", "search", "copy", "kill", "live_on")
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
        """Return a copy of world, vault and instance; the served database, of another owner, is loaded anew."""
        shutil.copytree(self.world, folder / "world", ignore=shutil.ignore_patterns("postgres"))
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


def build(folder: Path, *, customers: int, months: int, nights: Sequence[int]) -> Place:
    """Simulate a shop and run it for some nights, numbered by `run_night`; those the folder holds are not run again."""
    place, lived = Place(folder / "world", folder / "instance"), folder / "nights.json"
    if not place.home.exists():
        for name in ("tmp", "user"):
            (place.instance / name).mkdir(parents=True)
        simulate(load_parameters(INDUSTRY), place.world, customers=customers, months=months, seed=SEED)
    done = json.loads(lived.read_text()) if lived.exists() else []
    for night in (each for each in nights if each > max(done, default=each - 1)):
        run_night(place, months=months, night=night)
        done.append(night)
        lived.write_text(json.dumps(done))
    return place


def run_night(place: Place, *, months: int, night: int) -> None:
    """Run the pipeline for a day, `night` days after the last month begins."""
    as_of = (START + timedelta(days=DAYS_OF_A_MONTH * (months - 1) + night)).isoformat()
    run_pipeline(place.world, place.instance, industry=INDUSTRY, as_of=as_of)


def request_all(place: Place, count: int) -> tuple[list[str], Identifiers]:
    """Receive, verify and plan the erasure of every so many-th customer, and of a company with its contacts.

    Returns the requests and what finds the customers.
    """
    with duckdb.connect(str(place.home / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute("select distinct customer_id from customer_360.customers order by 1").fetchall()
        rows = [row for row in rows if not is_repeated(row[0])] or rows
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


def erase_with_kills(place: Place, requests: list[str], *, kills: int, seconds: float, rng: random.Random) -> int:
    """Erase to the end, killed at random moments, so often at most; return how many kills met the command at work."""
    met = 0
    while met < kills:
        started = start_erasing(place, requests)
        try:
            status = started.wait(timeout=rng.uniform(0.2, 1) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            met += is_at_work(place, requests)
        else:
            if status:
                raise RuntimeError((place.instance / "erasing.out").read_text()[-4000:])
            return met
    measure(place, requests)
    return met


def is_at_work(place: Place, requests: list[str]) -> bool:
    """Return whether one of the requests is on its way."""
    with place.open() as (_, store, _erasing):
        states = {each.request_id: each.state for each in PrivacyRequests(store).read()}
    return "running" in {states[each] for each in requests}


def find_in_files(place: Place, values: Identifiers) -> dict[str, int]:
    """Return by file how many lines of its bytes hold one of the values; the world without its sources."""
    files = [path for path in (*place.home.rglob("*"), *place.world.glob("vault*.db")) if path.is_file()]
    with tempfile.TemporaryDirectory() as scratch:
        return _grep(files, values.searched, Path(scratch))


def find_in_columns(place: Place, values: Identifiers) -> dict[str, int]:
    """Return by table how many rows are or hold one of the values, ids that are plain numbers among them."""
    found = {}
    for path in place.home.rglob("*.duckdb"):
        with (
            tempfile.TemporaryDirectory() as scratch,
            duckdb.connect(str(path), read_only=True, config=SPARING) as connection,
        ):
            for schema, table, names in connection.execute(
                "select schema_name, table_name, list(column_name) from duckdb_columns() where not internal "
                "and database_name = current_database() and (contains(data_type, 'VARCHAR') or data_type = 'JSON') "
                "group by all"
            ).fetchall():
                written, columns = Path(scratch) / "rows.csv", ", ".join(f'"{name}"' for name in names)
                relation = f'"{schema}"."{table}"'
                connection.execute(f"copy (select {columns} from {relation}) to '{written}' (header false)")
                rows = sum(_grep([written], values.searched, Path(scratch)).values())
                if "customer_id" in names:
                    query = f"select count(*) from {relation} where customer_id in (select unnest($ids))"
                    rows += (connection.execute(query, {"ids": list(values.customers)}).fetchone() or (0,))[0]
                if rows:
                    found[f"{path.name} {schema}.{table}"] = rows
    return found


def _grep(files: Sequence[Path], values: Sequence[str], scratch: Path) -> dict[str, int]:
    """Return by file how many lines hold one of the values, as grep counts them."""
    patterns, listed = scratch / "values", scratch / "files"
    patterns.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")
    listed.write_text("\0".join(map(str, files)))
    count = ["grep", "--text", "--fixed-strings", "--with-filename", "--count", f"--file={patterns}"]
    answer = subprocess.run(
        ["xargs", "-0", "-a", str(listed), *count],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.stderr:
        raise RuntimeError(answer.stderr)
    counts = (line.rpartition(":") for line in answer.stdout.splitlines())
    return {path: int(count) for path, _, count in counts if int(count)}


def compare_others(before: Path, after: Path, values: Identifiers) -> dict[str, int]:
    """Return by table how many rows differ that are not of the erased; a reference to one of them may be empty."""
    changed = {}
    with duckdb.connect(config=SPARING) as connection:
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
            before_it, after_it = (digest_rows(connection, f"({query})") for query in (old, new))
            if before_it != after_it:
                query = f"select count(*) from (({old} except all {new}) union all ({new} except all {old}))"
                changed[f"{schema}.{table}"] = (connection.execute(query).fetchone() or (0,))[0]
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


def count_delivered(place: Place) -> tuple[dict[str, int], list[str], list[str]]:
    """Return of the customer with the most orders the rows by raw table, the accounts, and the ids of all others.

    Every row is looked at in Python. Ids of others are those in which none of the customer's stands, nor the other way.
    """
    with duckdb.connect(str(place.home / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_columns() where column_name = 'customer_id' "
            "and starts_with(schema_name, 'raw_') and (schema_name, table_name) in "
            "(select (schema_name, table_name) from duckdb_tables())"
        ).fetchall()
        owners = {
            table: [owner for (owner,) in connection.execute(f"select customer_id from {table}").fetchall()]
            for (table,) in tables
        }
        linked = dict(connection.execute("select customer_id, canonical_id from identity.members").fetchall())
    orders = Counter(owner for table, found in owners.items() if table.endswith(".orders") for owner in found)
    (most, _), *_ = orders.most_common(1)
    canonical = linked.get(most, most)
    accounts = sorted({most, canonical, *(each for each, of in linked.items() if of == canonical)})
    rows = {table: sum(owner in accounts for owner in found) for table, found in owners.items()}
    others = {owner for found in owners.values() for owner in found if owner and owner not in accounts}
    return {table: count for table, count in rows.items() if count}, accounts, sorted(others)


def export_to(folder: Path, place: Place, customer: str) -> None:
    """Receive and answer a request for what is portable."""
    with place.open() as (deployment, store, erasing):
        requests, today = PrivacyRequests(store), datetime.now(UTC).date()
        given: dict[str, Any] = {"by": "bench", "at": datetime.now(UTC), "note": "for measuring"}
        due_on = compute_due_date(deployment, "gdpr", received_on=today)
        request = requests.receive(
            "portability", [customer], law="gdpr", received_on=today, due_on=due_on, keyring=erasing.keyring, **given
        )
        request = requests.move(request, "verified", **given)
        export(deployment, store, request, keyring=erasing.keyring, folder=folder, by="bench", at=datetime.now(UTC))


def _count_lines(path: Path) -> int:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _count_unlike(left: dict[str, int], right: dict[str, int]) -> int:
    return sum(left.get(table) != right.get(table) for table in {*left, *right})


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
        build(self.folder / "built", customers=self.asked.customers, months=self.asked.months, nights=self.nights)

    def plan(self) -> None:
        """Ask for the erasures on a copy, and keep what finds the customers."""
        shutil.rmtree(self.folder / "planned", ignore_errors=True)
        self.original.copy(self.folder / "planned")
        if self.asked.times > 1:
            repeat(self.planned.home, times=self.asked.times)
        requests, values = request_all(self.planned, self.asked.erased)
        erased = f"{len(requests)} of {count_customers(self.planned)} customers"
        if self.asked.times > 1:
            erased += f", all rows repeated {self.asked.times} times"
        size = f"{erased}, with contacts {len(values.customers)} ids, {len(values.searched)} values searched for"
        megabytes = sum(path.stat().st_size for path in self.planned.home.rglob("*")) / 1e6
        content = {"requests": requests, "values": asdict(values), "size": f"{size}, {megabytes:.0f} MB"}
        (self.folder / "asked.json").write_text(json.dumps(content))

    def erase(self) -> list[Figure]:
        """Erase at once."""
        shutil.rmtree(self.folder / "erased", ignore_errors=True)
        place = self.planned.copy(self.folder / "erased")
        seconds, memory = measure(place, self.requests)
        return [
            self.figure("time of the erasure, with its search", without_bar(seconds), unit="s"),
            self.figure("peak memory of the erasure", without_bar(memory), unit="MB"),
        ]

    def search(self) -> list[Figure]:
        """Ask what the erasure left, and what it changed."""
        place, values = self.erased, self.values
        others = compare_others(self.before, place.home / "warehouse.duckdb", values)
        files, columns = find_in_files(place, values), find_in_columns(place, values)
        verified = count_verified(place, self.requests)
        print(json.dumps({"others": others, "files": files, "columns": columns}))
        return [
            self.figure("files with a value of the erased", at_most(len(files), 0)),
            self.figure("columns with a value of the erased", at_most(len(columns), 0)),
            self.figure("tables in which rows of others changed", at_most(len(others), 0)),
            self.figure("receipts that verify", at_least(verified, len(self.requests)), unit="receipts"),
        ]

    def copy(self) -> list[Figure]:
        """Write what is portable of the customer with the most orders, and count it anew, cell by cell."""
        shutil.rmtree(self.folder / "copied", ignore_errors=True)
        place, folder = self.erased.copy(self.folder / "copied"), self.folder / "copied" / "copy"
        rows, accounts, others = count_delivered(place)
        export_to(folder, place, accounts[0])
        written = {path.stem: _count_lines(path) for path in folder.glob("raw_*.csv")}
        strange = _grep(list(folder.iterdir()), others, self.folder)
        print(json.dumps({"written": written, "counted": rows, "others": strange}))
        return [
            self.figure("rows of a copy that is portable", without_bar(sum(rows.values())), unit="rows"),
            self.figure("tables of it with another count of rows", at_most(_count_unlike(rows, written), 0)),
            self.figure("files of it with an id of anybody else", at_most(len(strange), 0), unit="files"),
        ]

    def kill(self) -> list[Figure]:
        """Erase on other copies, killed at random moments, and compare each end with the one that was left alone."""
        counted = self.folder / "kills.json"
        so_far = json.loads(counted.read_text()) if counted.exists() else {"kills": 0, "erasures": 0, "differences": 0}
        while so_far["kills"] < self.asked.kills:
            shutil.rmtree(self.folder / "killed", ignore_errors=True)
            place, rng = self.planned.copy(self.folder / "killed"), random.Random(SEED + so_far["erasures"])
            left = self.asked.kills - so_far["kills"]
            so_far["kills"] += erase_with_kills(place, self.requests, kills=left, seconds=self.asked.seconds, rng=rng)
            so_far["erasures"] += 1
            so_far["differences"] += self._differences(place)
            counted.write_text(json.dumps(so_far))
            print(so_far, flush=True)
        return [
            self.figure("kills that met the erasure at work", at_least(so_far["kills"], 20), unit="kills"),
            self.figure("erasures that were killed on the way", without_bar(so_far["erasures"]), unit="erasures"),
            self.figure("differences to an erasure that was not killed", at_most(so_far["differences"], 0)),
        ]

    def _differences(self, place: Place) -> int:
        """Return how many tables, files and columns are not as an erasure without kills leaves them."""
        alone, killed = self.erased.home / "warehouse.duckdb", place.home / "warehouse.duckdb"
        ends = compare_others(alone, killed, Identifiers(customers=()))
        left = find_in_files(place, self.values) | find_in_columns(place, self.values)
        missing = len(self.requests) - count_verified(place, self.requests)
        print(json.dumps({"ends": ends, "left": left, "receipts missing": missing}))
        return len(ends) + len(left) + missing

    def live_on(self) -> list[Figure]:
        """Run another night on the same sources, and look for whoever was erased."""
        shutil.rmtree(self.folder / "lived", ignore_errors=True)
        place = self.erased.copy(self.folder / "lived")
        run_night(place, months=self.asked.months, night=self.asked.every)
        back = find_in_columns(place, self.values) | find_in_files(place, self.values)
        print(json.dumps({"back": back}))
        return [self.figure("places to which the next night brought anybody back", at_most(len(back), 0))]

    def figure(self, name: str, value: dict[str, Any], *, unit: str = "places") -> Figure:
        """Return a figure of this measurement."""
        arguments = " ".join("FOLDER" if each == str(self.asked.folder) else each for each in sys.argv[1:])
        command = f"{COMMAND} ARGS='{arguments}'" if arguments else COMMAND
        return Figure(name=name, unit=unit, size=self._known["size"], seed=SEED, command=command, **value)

    @property
    def nights(self) -> list[int]:
        """The nights of the instance, the last of them when its last month begins."""
        return [-self.asked.every * left for left in reversed(range(self.asked.nights))]

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
    parser.add_argument("--every", type=int, default=1, help="days from one night to the next")
    parser.add_argument("--times", type=int, default=1, help="how often all rows about customers stand there")
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
