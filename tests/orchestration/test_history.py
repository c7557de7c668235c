"""Dagster's history stays open while a run writes it, and is whole and closed when the run has ended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from orchestration.entry import DAGSTER_CONFIG
from orchestration.event_log import MOST_OPEN, EventLog
from orchestration.history import keep_open


def write(path: Path, count: int) -> None:
    """Write rows as Dagster does: an engine without a pool, and a connection, for each."""
    for number in range(count):
        engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("pragma journal_mode = wal"))
            connection.execute(sa.text("create table if not exists events (number integer)"))
            connection.execute(sa.text("insert into events values (:number)"), {"number": number})


def read(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("select number from events order by 1")]


def test_the_log_of_changes_is_copied_once_at_the_end_and_holds_every_event_before(tmp_path: Path) -> None:
    path = tmp_path / "history" / "index.db"
    path.parent.mkdir()
    with keep_open(tmp_path):
        write(path, 5)
        assert path.with_name("index.db-wal").stat().st_size > 0
        assert read(path) == [0, 1, 2, 3, 4]
    assert not path.with_name("index.db-wal").exists()
    assert read(path) == [0, 1, 2, 3, 4]


def test_databases_elsewhere_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    with keep_open(tmp_path / "dagster"):
        write(tmp_path / "operational.db", 1)
        assert not (tmp_path / "operational.db-wal").exists()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster with the event log of `dagster.yaml`."""
    configured = DAGSTER_CONFIG.read_text(encoding="utf-8").replace("{home}", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(configured, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def report(instance: dg.DagsterInstance, count: int) -> list[str]:
    runs = [instance.create_run_for_job(dg.Definitions(jobs=[job]).resolve_job_def("job")).run_id for _ in range(count)]
    for run_id in runs:
        instance.report_engine_event("seen", run_id=run_id, job_name="job")
    return runs


@dg.job
def job() -> None:
    """Do nothing."""


def test_events_are_where_dagster_keeps_them_and_read_by_its_own_storage(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    runs = report(instance, MOST_OPEN + 2)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with dg.DagsterInstance.from_config(str(tmp_path)) as plain:
        assert type(instance.event_log_storage) is EventLog is not type(plain.event_log_storage)
        assert [[each.message for each in plain.all_logs(run)] for run in runs] == [["seen"]] * len(runs)


def test_at_most_a_few_databases_of_runs_stay_open_and_none_after_the_end(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    report(instance, MOST_OPEN + 2)
    opened = {link.resolve().name for link in Path("/proc/self/fd").iterdir() if tmp_path in link.resolve().parents}
    assert len([name for name in opened if name.endswith(".db")]) <= MOST_OPEN
    instance.event_log_storage.dispose()
    assert not [link for link in Path("/proc/self/fd").iterdir() if tmp_path / "history" in link.resolve().parents]
