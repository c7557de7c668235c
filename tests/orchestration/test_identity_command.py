"""`holdfast identity explain` says in words why ids are one customer."""

from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from instance import Instance
from typer.testing import CliRunner

from ingestion.identity.storing import DDL
from orchestration.commands.identity import app
from orchestration.control.identity_decisions import IdentityDecisions
from retention.store.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(DDL)
        at = datetime.fromisoformat("2026-01-01T02:00:00")
        row = ("crm", "A1", "crm", "A2", "profile", "the same name, birth date", 0.99, "linked", None, "run-1", at)
        connection.execute("insert into identity.links values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        cut = ("crm", "A2", "crm", "A3", "proof", "the same card", 0.9, "cut", "birth dates differ", "run-1", at)
        connection.execute("insert into identity.links values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", cut)
        connection.execute("insert into identity.members values ('crm', 'A2', 'A1', 'run-1', ?)", [at])
    return tmp_path


@pytest.fixture(autouse=True)
def _wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def say(home: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments, "--home", str(home)])
    return done.exit_code, done.output


def test_an_id_is_explained_with_its_group_and_every_evidence(home: Path) -> None:
    code, said = say(home, "explain", "A2")
    assert code == 0
    assert "A2 stands for A1; ids of this customer: A1, A2." in said.replace("\n", " ")
    assert "profile: the same name" in said
    assert "birth dates differ" in said


def test_an_id_without_evidence_stands_for_itself(home: Path) -> None:
    assert "B1 stands for itself" in say(home, "explain", "B1")[1]


def test_a_house_without_a_warehouse_is_told_what_to_do(tmp_path: Path) -> None:
    code, said = say(tmp_path, "explain", "A1")
    assert (code, "holdfast run" in said) == (2, True)


def test_what_a_person_takes_apart_is_kept_by_name_until_somebody_takes_it_back(instance: Instance) -> None:
    told = ("--by", "Ann", "--reason", "she called", "--company", str(instance.company), "--home", str(instance.home))
    apart = instance.call("identity", "unmerge", "c0001", "--from", "c0002", *told)
    store = Store(f"sqlite:///{instance.home / 'operational.db'}")
    kept = [(one.pair, one.decided_by, one.reason) for one in IdentityDecisions(store).read_apart()]
    again = instance.call("identity", "relink", "c0002", "--from", "c0001", *told)
    assert (apart.returncode, again.returncode, "kept apart from c0002 by Ann" in apart.stdout) == (0, 0, True)
    assert (kept, IdentityDecisions(store).read_apart()) == ([(("c0001", "c0002"), "Ann", "she called")], [])
    store.close()
