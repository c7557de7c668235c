"""SIGKILL in the middle, then the same command again: the same tables, the same ledger, nothing sent twice."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from instance import Instance, read_ledger, read_tables

PATIENCE = 240


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


def start(instance: Instance, log: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own."""
    arguments = ("run", "--as-of", "2024-10-01", "--company", str(instance.company))
    with log.open("ab") as screen:
        return subprocess.Popen(
            instance.command(*arguments),
            env=instance.environment,
            cwd=instance.folder,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
        )


def kill_when(instance: Instance, log: Path, moment: Callable[[str], bool]) -> None:
    """Run until `moment` of what the run has said, then kill the whole process group."""
    log.write_text("")
    run = start(instance, log)
    deadline = time.monotonic() + PATIENCE
    while not moment(log.read_text()):
        assert run.poll() is None, f"the run ended before it could be killed:\n{log.read_text()}"
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


def test_a_run_killed_in_four_places_ends_as_if_nothing_had_happened(
    instance: Instance, finished_instance: Instance, receiver: Receiver, tmp_path: Path
) -> None:
    instance.company.write_text(
        instance.company.read_text()
        + f'channels: {{webhook: {{url: "{receiver.url}", lookup_url: "{receiver.url}/{{key}}"}}}}\n'
    )
    log = tmp_path / "screen.txt"
    dbt = instance.home / "dbt" / "target"
    registry = instance.home / "mlflow" / "mlflow.db"

    kill_when(instance, log, lambda said: "made  raw_shop/customers" in said)  # ingestion
    kill_when(instance, log, lambda said: "made  staging/stg_orders" in said)  # dbt
    assert dbt.exists()
    kill_when(instance, log, lambda said: "training for" in said and registry.exists())  # training
    sending = threading.Event()
    receiver.on_message = lambda: (len(receiver.taken) == 3 and sending.set()) or None  # type: ignore[func-returns-value]
    kill_when(instance, log, lambda _: sending.is_set())  # sending
    receiver.on_message = lambda: None

    last = instance.run()
    assert last.returncode == 0, last.stdout + last.stderr
    assert set(receiver.taken.values()) == {1}
    assert read_ledger(instance).equals(read_ledger(finished_instance))
    assert read_tables(instance) == read_tables(finished_instance)
