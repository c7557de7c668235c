"""The warehouse: slices that are replaced whole, tables that outlive a release, and a file that is let go."""

import time
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from ingestion.confinement import confine
from orchestration import warehouse as module
from orchestration.engines import DuckDb
from orchestration.warehouse import LingeringWarehouse, Warehouse

DAY = date(2026, 1, 1)


def is_open(path: Path) -> bool:
    """Tell whether the file is open: one process cannot also open it for reading only."""
    try:
        duckdb.connect(path, read_only=True).close()
    except duckdb.ConnectionException:
        return True
    return False


def test_a_lingering_warehouse_stays_open_between_uses_until_it_is_released(tmp_path: Path) -> None:
    warehouse = LingeringWarehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    warehouse.append({"scores.days": pa.table({"as_of": [DAY]})})
    assert warehouse.latest_day("scores.days") == DAY
    assert is_open(tmp_path / "warehouse.duckdb")
    warehouse.release()
    assert not is_open(tmp_path / "warehouse.duckdb")
    assert list(tmp_path.iterdir()) == [tmp_path / "warehouse.duckdb"]


def test_a_lingering_warehouse_lets_go_of_its_file_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.2)
    warehouse = LingeringWarehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    warehouse.append({"scores.days": pa.table({"as_of": [DAY]})})
    deadline = time.monotonic() + 10
    while is_open(tmp_path / "warehouse.duckdb") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_open(tmp_path / "warehouse.duckdb")


def test_a_column_that_an_earlier_release_did_not_tell_stays_unknown_there(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    warehouse.replace_day("monitoring.drift", pa.table({"as_of": [DAY], "state": ["stable"]}), as_of=DAY)
    later = pa.table({"as_of": [date(2026, 1, 2)], "state": ["drifted"], "months": [3]})
    warehouse.replace_day("monitoring.drift", later, as_of=date(2026, 1, 2))
    told = warehouse.read("select state, months from monitoring.drift order by as_of").to_pylist()
    assert told == [{"state": "stable", "months": None}, {"state": "drifted", "months": 3}]


def test_what_one_use_sets_for_the_whole_database_does_not_reach_the_next(tmp_path: Path) -> None:
    warehouse = LingeringWarehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    warehouse.read_value("select 1")
    for name in ("first.csv", "second.csv"):
        file = tmp_path / name
        file.write_text("a\n1\n", encoding="utf-8")
        with warehouse.connect_alone() as connection:
            confine(connection, files=[file], scratch=tmp_path / "scratch")
            assert connection.execute(f"select a from '{file}'").fetchall() == [(1,)]
    assert warehouse.read_value(f"select a from '{tmp_path / 'first.csv'}'") == 1
