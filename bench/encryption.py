"""What encryption costs and hides: `make bench TOPIC=encryption` writes bench/results/encryption.json.

The same simulated company is run twice from nothing, in clear and under a key, with all it writes below one folder.
During the run and after it all files, temporary ones too, are read for every personal value of the company's people;
after it also for ids of customers and orders. The same search must find ids in the run in clear: those of customers,
since DuckDB may compress an order's away. Time is that of the processors, all children included, since other programs
may share the machine. Then the instance under a key is called with a wrong key and with none, gets another key, and is
called with that and with the one before.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.figures import Figure, at_least, at_most, record, without_bar
from bench.privacy import ROOT, make_environment, run_pipeline
from company.encryption import KEY_NAME, open_file
from orchestration.commands.encryption import NEW_KEY_NAME
from simulator.parameters import load_parameters
from simulator.people import find_words, read_words
from simulator.story import START, simulate

COMMAND, SEED, INDUSTRY = "make bench TOPIC=encryption", 20260101, "retail"
KEY, NEXT, WRONG = "q7Jw2mZx0aVf9KtB3sLr8YdH", "Zt4Kc8PqLw1nXv6RbJ0sGy5M", "Hd3Nf7XsQe2mTc9WbK0uJy6P"
READING = (["outbox", "status"], ["quarantine"])  # calls that need the key
PARTS, MEASURED = {"plain": "", "encrypted": KEY}, "measured.json"
DAYS_OF_A_MONTH, PAUSE_SECONDS = 30, 0.5
ROTATE, REFUSED = ["encryption", "rotate"], 2
LEAST, MOST = 6, 500  # characters of an id that is searched for, and how many are of a kind
TEMPORARY = (".tmp", ".wal", "-wal", ".new")


@dataclass
class Watch:
    """Reads the temporary files below a folder while a run writes them."""

    folder: Path
    words: frozenset[str]
    seen: set[str] = field(default_factory=set)
    clear: set[str] = field(default_factory=set)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look again and again for the length of a block."""
        ended = threading.Event()
        looking = threading.Thread(target=self._look, args=(ended,))
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(PAUSE_SECONDS):
            for path in list(self.folder.rglob("*")):
                place = str(path.relative_to(self.folder))
                if any(part.endswith(TEMPORARY) for part in path.parts) and place not in self.clear:
                    self._read(path, place)

    def _read(self, path: Path, place: str) -> None:
        try:
            content = path.read_bytes()
        except OSError:  # a folder, or it is gone already
            return
        self.seen.add(place)
        if find_words(self.words, content):
            self.clear.add(place)


def run(folder: Path, *, key: str, customers: int, months: int) -> None:
    """Run a company from nothing, and keep next to its instance what was measured, unless the folder holds it."""
    world, instance, measured = folder / "world", folder / "instance", folder / MEASURED
    if measured.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("tmp", "user"):
        (instance / name).mkdir(parents=True)
    simulate(load_parameters(INDUSTRY), world, customers=customers, months=months, seed=SEED)
    words, as_of = read_words(world), (START + timedelta(days=DAYS_OF_A_MONTH * (months - 1))).isoformat()
    watch, before = Watch(instance, words), _read_seconds()
    os.environ[KEY_NAME] = key
    with watch.running():
        run_pipeline(world, instance, industry=INDUSTRY, as_of=as_of)
    seconds = _read_seconds() - before
    measured.write_text(json.dumps({"seconds": seconds, "seen": sorted(watch.seen), "clear": sorted(watch.clear)}))


def _read_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_ids(instance: Path, *, key: str) -> list[bytes]:
    """Return ids of customers and of orders that are no plain numbers, evenly taken from all of a kind."""
    with open_file(instance / "home" / "warehouse.duckdb", key=key, is_read_only=True) as connection:
        asked = ("select customer_id from customer_360.customers", "select order_id from staging.stg_orders")
        kinds = [{str(each) for (each,) in connection.execute(query).fetchall()} for query in asked]
    return [each for ids in kinds for each in _take(ids)]


def _take(ids: set[str]) -> list[bytes]:
    telling = sorted(each.encode() for each in ids if len(each) >= LEAST and not each.isdecimal())
    return telling[:: max(len(telling) // MOST, 1)]


def find_files(instance: Path, ids: list[bytes], words: frozenset[str]) -> dict[str, int]:
    """Return by file how many ids and personal values stand in its bytes."""
    found = {}
    for path in sorted(path for path in instance.rglob("*") if path.is_file()):
        content = path.read_bytes()
        count = sum(each in content for each in ids) + len(find_words(words, content))
        if count:
            found[str(path.relative_to(instance))] = count
    return found


def call(place: Path, command: list[str], *, key: str, to: str = "") -> "subprocess.CompletedProcess[str]":
    """Call the command line for the instance of a place, with a key and the one to come."""
    environment = make_environment(place / "world", place / "instance")
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *command], cwd=ROOT, check=False, capture_output=True, text=True,
        env=environment | {KEY_NAME: key, NEW_KEY_NAME: to},
    )  # fmt: skip


def list_let_in(place: Path, keys: Sequence[str], commands: Sequence[list[str]] = READING) -> list[str]:
    """Return the calls with one of the keys that were not refused in one paragraph."""
    let_in = []
    for key in keys:
        for command in commands:
            done = call(place, command, key=key, to=NEXT)
            said = (done.stdout + done.stderr).strip()
            print(f"{' '.join(command)} under {key or 'no key'}: {said}")
            if done.returncode != REFUSED or KEY_NAME not in said or "\n\n" in said:
                let_in.append(" ".join(command))
    return let_in


def change_key(folder: Path, ids: list[bytes], words: frozenset[str]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield what a wrong, a missing and a changed key do to a copy of the encrypted instance: name, value and unit."""
    place = folder / "keys"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "encrypted", place, ignore=shutil.ignore_patterns("postgres"))
    let_in = list_let_in(place, (WRONG, ""), [*READING, ROTATE])
    begun = time.perf_counter()
    rotated = call(place, ROTATE, key=KEY, to=NEXT)
    seconds = time.perf_counter() - begun
    print(rotated.stdout + rotated.stderr)
    let_in += list_let_in(place, (KEY,))
    refused = [" ".join(each) for each in READING if call(place, each, key=NEXT).returncode]
    yield "calls with a wrong, a missing or a former key that were let in", at_most(len(let_in), 0), "calls"
    yield "calls that the new key did not open", at_most(len(refused) + bool(rotated.returncode), 0), "calls"
    left = find_files(place / "instance", ids, words)
    yield "files with an id or a personal value, after the key was changed", at_most(len(left), 0), "files"
    yield "time to change the key", without_bar(seconds), "s"


def main() -> None:
    """Run in clear and under a key, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--months", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where a run finds what an earlier call measured")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    size = {"customers": asked.customers, "months": asked.months}
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        for name, key in PARTS.items():
            if name in asked.parts:
                run(folder / name, key=key, **size)
        if all((folder / name / MEASURED).exists() for name in PARTS):
            compare(folder, asked)


def compare(folder: Path, asked: argparse.Namespace) -> None:
    """Search both instances, and write the figures down."""
    plain, instance = (folder / name / "instance" for name in PARTS)
    in_clear_run, run_under_key = (json.loads((folder / name / MEASURED).read_text()) for name in PARTS)
    words, ids = read_words(folder / "encrypted" / "world"), read_ids(instance, key=KEY)
    in_clear, found = find_files(plain, ids, words), find_files(instance, ids, words)
    count = sum(path.is_file() for path in instance.rglob("*"))
    seen, clear, seconds = run_under_key["seen"], run_under_key["clear"], run_under_key["seconds"]
    print("in clear:", in_clear, "\nencrypted:", found, "\ntemporary:", clear, seen[:20])
    described = f"{asked.customers} customers, {len(ids)} ids, {len(words)} personal values, {count} files"
    shared: dict[str, Any] = {"size": described, "seed": SEED, "command": COMMAND}
    files = shared | {"unit": "files"}
    record(
        "encryption",
        [
            Figure(name="files with an id or a personal value, encrypted", **at_most(len(found), 0), **files),
            Figure(name="files with an id, in clear", **at_least(len(in_clear), 1), **files),
            Figure(name="temporary files with a personal value", **at_most(len(clear), 0), **files),
            Figure(name="temporary files that were seen and read", **at_least(len(seen), 1), **files),
            Figure(
                name="processor time, encrypted over clear", **at_most(seconds / in_clear_run["seconds"], 1.5),
                **(shared | {"unit": "times"}),
            ),
            Figure(name="processor time, encrypted", **without_bar(seconds), **(shared | {"unit": "s"})),
            *(
                Figure(name=name, **value, **(shared | {"unit": unit}))
                for name, value, unit in change_key(folder, ids, words)
            ),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
