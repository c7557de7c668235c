"""Whether a run killed again and again ends as one that nobody disturbed: `make bench TOPIC=kills`.

A run is killed as soon as it has made an asset, then started anew and killed at a later one, through landing, dbt,
training, deciding and sending, and ends in peace at last. Then every table, the ledger, the registry and the gateway's
inbox are compared with those of an undisturbed run; figures in bench/results/kills.json. `--kills` sets how often.
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from bench.figures import Figure, at_most, record
from bench.pipeline import DEMO, DEMO_DAY, ROOT
from bench.state import count, count_made, history, read_settled, read_tables
from retention.acting.inbox import Inbox

COMMAND = "make bench TOPIC=kills"


def start(home: Path, output: Path) -> "subprocess.Popen[bytes]":
    """Start a run of the demo's company in a process group of its own."""
    command = [sys.executable, "-m", "orchestration.cli", "run", "--company", str(DEMO), "--as-of", DEMO_DAY]
    environment = os.environ | {"HOLDFAST_HOME": str(home)}
    with output.open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)


def finish(home: Path, output: Path) -> None:
    """Run to the end; raises CalledProcessError when the run fails."""
    started = start(home, output)
    if started.wait():
        raise subprocess.CalledProcessError(started.returncode, started.args, output.read_text()[-4000:])


def kill_when(home: Path, output: Path, is_time: Callable[[], bool]) -> bool:
    """Start a run and kill all its processes as soon as it is time; return whether it was before the run's end."""
    started = start(home, output)
    while not is_time() and started.poll() is None:
        time.sleep(0.02)
    is_killed = started.poll() is None
    if is_killed:
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    return is_killed


def list_made(home: Path) -> list[tuple[str, ...]]:
    """Return the keys of all assets in the order in which they were made."""
    query = "select asset_key from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION' order by id"
    with closing(sqlite3.connect(history(home))) as connection:
        return [tuple(json.loads(key)) for (key,) in connection.execute(query)]


def make_condition(home: Path, asset: Sequence[str]) -> Callable[[], bool]:
    """Return a condition that comes true when the asset is made once more than by now."""
    before = count_made(home, *asset)
    return lambda: count_made(home, *asset) > before


def list_messages(home: Path) -> dict[str, int]:
    """Return how often each message arrived at the built-in gateway."""
    return {each.key: each.times for each in Inbox(home / "outbox" / "inbox.db").read(limit=1_000_000)}


def count_versions(home: Path) -> int:
    """Return how many versions of the model are registered."""
    return count(home / "mlflow" / "mlflow.db", "select count(*) from model_versions")


def compare(home: Path, undisturbed: Path) -> Iterator[tuple[str, int]]:
    """Yield by how much an instance differs from an undisturbed one."""
    before, after = read_tables(undisturbed), read_tables(home)
    names = (before.keys() | after.keys()) - {"retention.ledger"}  # below, without what was unknown for a while
    yield "tables that differ", sum(before.get(name) != after.get(name) for name in names)
    entries = [{*read_settled(each).astype(str).itertuples(index=False, name=None)} for each in (undisturbed, home)]
    yield "entries of the ledger that differ", len(entries[0] ^ entries[1])
    expected, arrived = (list_messages(each) for each in (undisturbed, home))
    yield "messages missing or one too many", len(expected.keys() ^ arrived.keys())
    yield "messages that arrived twice", sum(times > 1 for times in arrived.values())
    yield "model versions one too many", count_versions(home) - count_versions(undisturbed)


def measure(folder: Path, *, kills: int) -> Iterator[Figure]:
    """Run undisturbed, then killed, and compare."""
    home, undisturbed, output = folder / "home", folder / "undisturbed", folder / "output.txt"
    finish(home, output)
    home.rename(undisturbed)  # both run in the same place: paths are part of what is recorded
    made = list_made(undisturbed)
    points = [made[round((place + 0.5) * len(made) / kills)] for place in range(kills)]
    killed = [asset for asset in points if kill_when(home, output, make_condition(home, asset))]
    print("killed when these had been made:", ", ".join(".".join(asset) for asset in killed))
    finish(home, output)
    size = f"{DEMO.parent.name} as of {DEMO_DAY}, {len(killed)} kills"
    for name, differing in compare(home, undisturbed):
        yield Figure(f"kills: {name}", unit="count", **at_most(differing, 0), size=size, seed=0, command=COMMAND)


def main() -> None:
    """Measure and write the topic's file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        record("kills", measure(Path(folder), kills=parser.parse_args().kills))


if __name__ == "__main__":
    main()
