"""SIGKILL in the middle of a stage, then the same again: the same tables, the same ledger, nothing sent twice."""

import json
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import processes
from instance import AROUND_STAGES, AS_OF, Instance, PreparedRun, read_ledger, read_tables

from retention.acting.inbox import Inbox

PATIENCE = 900


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
    prepared_run: PreparedRun, tmp_path: Path
) -> None:
    instance, output = prepared_run.restore("act"), tmp_path / "output.txt"
    inbox = instance.home / "outbox" / "inbox.db"
    kill_when(start(instance, "act", output), output, lambda: count_messages(inbox) >= 3)

    finish(start(instance, "act", output), output)
    assert {message.times for message in Inbox(inbox).read(limit=10_000)} == {1}
    assert read_settled(instance).equals(read_settled(prepared_run.finished))
    before, after = read_tables(prepared_run.finished), read_tables(instance)
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} <= {"retention.ledger"}


def count_messages(inbox: Path) -> int:
    return count(inbox, "select count(*) from messages") if inbox.exists() else 0


def read_settled(instance: Instance) -> pd.DataFrame:
    """Return the ledger without what was unknown for a while: of which messages depends on the moment of the kill."""
    ledger = read_ledger(instance)
    return ledger.loc[ledger["event"] != "unknown"].reset_index(drop=True)
