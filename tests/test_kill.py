"""SIGKILL in the middle of a stage, then the same again: the same tables, the same ledger, nothing sent twice."""

import json
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path

import processes
import pytest
from instance import AROUND_STAGES, AS_OF, Instance, PreparedRun, read_ledger, read_tables

PATIENCE = 900


class Receiver:
    """A webhook that counts what it is given, answers look-ups, and runs `on_message` before it answers."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.on_message: Callable[[], None] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.taken[self.headers["Idempotency-Key"]] += 1
                receiver.on_message()
                self.answer(200)

            def do_GET(self) -> None:
                self.answer(200 if receiver.taken[self.path.rsplit("/", maxsplit=1)[1]] else 404)

            def answer(self, status: int) -> None:
                body = json.dumps({"reference": "r"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/messages"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.server.shutdown()
    started.server.server_close()


def start(instance: Instance, stage: str, output: Path) -> BaseProcess:
    """Start one stage of a run."""
    arguments = ("run", "--as-of", AS_OF, "--company", str(instance.company), stage)
    return processes.start(
        AROUND_STAGES, *arguments, environment=instance.environment, folder=instance.folder, output=output
    )


def kill_when(started: BaseProcess, output: Path, is_time: Callable[[], bool]) -> None:
    """Kill the process and all that it has started, as soon as it is time."""
    deadline = time.monotonic() + PATIENCE
    while not is_time():
        assert started.exitcode is None, f"the run ended before it could be killed:\n{output.read_text()}"
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.02)
    processes.kill(started)
    assert started.exitcode == -signal.SIGKILL


def finish(started: BaseProcess, output: Path) -> None:
    started.join(PATIENCE)
    assert started.exitcode == 0, output.read_text()


def count(database: Path, query: str) -> int:
    """Return a count from another process's SQLite database, 0 as long as it has no such table."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def was_made(instance: Instance, *asset: str) -> bool:
    """Say whether Dagster has recorded that an asset was materialized."""
    events = instance.home / "dagster" / "history" / "runs" / "index.db"
    made = f"dagster_event_type = 'ASSET_MATERIALIZATION' and asset_key = '{json.dumps(asset)}'"
    return count(events, f"select count(*) from event_logs where {made}") > 0


def test_a_refresh_killed_while_landing_and_then_in_dbt_ends_as_if_nothing_had_happened(
    prepared_run: PreparedRun, tmp_path: Path
) -> None:
    instance, output = prepared_run.restore("refresh"), tmp_path / "output.txt"
    for asset in (("raw_shop", "customers"), ("staging", "stg_orders")):
        started = start(instance, "refresh", output)
        kill_when(started, output, partial(was_made, instance, *asset))
    assert not was_made(instance, "features", "customer_features")
    finish(start(instance, "refresh", output), output)
    assert read_tables(instance) == read_tables(prepared_run.before("train"))


def test_a_training_killed_ends_as_if_nothing_had_happened(prepared_run: PreparedRun, tmp_path: Path) -> None:
    instance, output = prepared_run.restore("train"), tmp_path / "output.txt"
    registry = instance.home / "mlflow" / "mlflow.db"
    assert not registry.exists()
    # tests/ml/test_ml_registry.py kills at every step of registering
    kill_when(start(instance, "train", output), output, registry.exists)
    assert count(registry, "select count(*) from model_versions") == 0
    finish(start(instance, "train", output), output)
    assert count(registry, "select count(*) from model_versions") == 1
    assert read_tables(instance) == read_tables(prepared_run.before("act"))


def test_a_run_killed_while_sending_sends_nothing_twice_and_ends_as_if_nothing_had_happened(
    prepared_run: PreparedRun, receiver: Receiver, tmp_path: Path
) -> None:
    webhook = f'channels: {{webhook: {{url: "{receiver.url}", lookup_url: "{receiver.url}/{{key}}"}}}}\n'
    restored, output = prepared_run.restore("act"), tmp_path / "output.txt"
    instance = replace(restored, folder=Path(shutil.copytree(restored.folder, tmp_path / "shop")))
    instance.company.write_text(restored.company.read_text() + webhook)
    sending = threading.Event()
    receiver.on_message = lambda: sending.set() if len(receiver.taken) == 3 else None
    kill_when(start(instance, "act", output), output, sending.is_set)
    receiver.on_message = lambda: None

    finish(start(instance, "act", output), output)
    assert set(receiver.taken.values()) == {1}
    assert read_ledger(instance).equals(read_ledger(prepared_run.finished))
    assert read_tables(instance) == read_tables(prepared_run.finished)
