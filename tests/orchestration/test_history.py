"""Dagster's history stays open while a run writes it, and is whole and closed when the run has ended."""

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

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
