"""SIGKILL while a run sends, then the same again: the same tables, the same ledger, nothing sent twice.

`make bench TOPIC=kills` kills a run in all its stages, tests/ml/test_ml_registry.py at every step of registering,
tests/retention/test_sending_survives_kills.py at every step of sending.
"""

import signal
import time
from pathlib import Path

import processes
from instance import AS_OF, Instance, PreparedRun

from bench.state import count, read_settled, read_tables
from retention.acting.inbox import Inbox

PATIENCE = 900


def start(instance: Instance, output: Path) -> processes.Process:
    """Start a night that decides and sends."""
    arguments = ("run", "--as-of", AS_OF, "--company", str(instance.company))
    return processes.start(
        processes.CLI, *arguments, environment=instance.environment, folder=instance.folder, output=output
    )


def test_a_run_killed_while_sending_sends_nothing_twice_and_ends_as_if_nothing_had_happened(
    prepared_run: PreparedRun, tmp_path: Path
) -> None:
    instance, output = prepared_run.restore("before-acting"), tmp_path / "output.txt"
    inbox = instance.home / "outbox" / "inbox.db"
    started, deadline = start(instance, output), time.monotonic() + PATIENCE
    while count(inbox, "select count(*) from messages") < 3:
        assert started.exitcode is None, f"the run ended before it could be killed:\n{output.read_text()}"
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.02)
    started.kill()
    assert started.exitcode == -signal.SIGKILL

    again = instance.run(AS_OF)
    assert again.returncode == 0, again.stdout
    assert {message.times for message in Inbox(inbox).read(limit=10_000)} == {1}
    assert read_settled(instance.home).equals(read_settled(prepared_run.finished.home))
    before, after = read_tables(prepared_run.finished.home), read_tables(instance.home)
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} <= {"retention.ledger"}
