"""The state folder: closed to others, one run at a time, a clear word where it cannot be used, no endless history."""

import fcntl
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.entry import require_instance
from orchestration.home import HomeError, forget_old_runs, hold, prepare_home

COMPANY = Path(__file__).parents[2] / "examples" / "complete_journey" / "company.yaml"


def test_a_home_and_what_is_written_in_it_are_closed_to_others(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    prepare_home(home)
    (home / "logs").mkdir()
    (home / "warehouse.duckdb").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
    assert modes == {"home": 0o700, "logs": 0o700, "warehouse.duckdb": 0o600}


def test_a_mistyped_home_starts_no_second_instance(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="does not exist"):
        prepare_home(tmp_path / "typo" / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeError, match=f"{tmp_path}/home: the instance cannot keep its state there"):
        prepare_home(tmp_path / "home")


def test_a_second_run_is_told_who_is_at_work(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(HomeError, match=f"process {os.getpid()}"), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_a_command_that_reads_refuses_a_home_without_an_instance(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="there is no instance here yet"):
        require_instance(tmp_path)
    answer = CliRunner().invoke(app, ["quarantine", "--home", str(tmp_path / "typo")])
    assert (answer.exit_code, "there is no instance here yet" in answer.output) == (2, True)


@pytest.mark.parametrize("day", ["2016-12-31", "2999-01-01"])
def test_a_day_that_the_company_does_not_know_is_refused_in_one_paragraph(tmp_path: Path, day: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "warehouse.duckdb").touch()
    answer = CliRunner().invoke(app, ["run", "--as-of", day, "--company", str(COMPANY), "--home", str(home)])
    assert answer.exit_code == 2
    assert answer.output.startswith(f"--as-of {day} lies outside of the company's days.")
    assert "2017-01-01" in answer.output
    assert answer.output.count("\n") == 1


def test_a_run_beside_another_ends_at_once_and_says_why(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "warehouse.duckdb").touch()
    with (home / "run.lock").open("a+") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = CliRunner().invoke(
            app, ["run", "--as-of", "2017-12-01", "--company", str(COMPANY), "--home", str(home)]
        )
    assert (answer.exit_code, answer.output.count("\n")) == (2, 1)
    assert "another run is at work here (process 4711)" in answer.output


def test_old_runs_leave_the_history_and_young_ones_stay() -> None:
    @dg.asset
    def made() -> None:
        """Nothing."""

    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([made], instance=instance).run_id
        now = datetime.now(UTC)
        kept = [forget_old_runs(instance, days=days, now=now) for days in (1, 0)]
        gone = forget_old_runs(instance, days=90, now=now + timedelta(days=91))
        assert (kept, gone, instance.get_run_by_id(run)) == ([0, 0], 1, None)
        assert instance.all_logs(run) == []
