"""`holdfast strategies`, as a person uses it."""

from pathlib import Path

import pytest
from instance import COMPANY
from typer.testing import CliRunner

from orchestration.cli import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "company.yaml").write_text(COMPANY, encoding="utf-8")
    for name in ("customers", "orders"):
        (tmp_path / f"{name}.csv").write_text("id\n", encoding="utf-8")
    return tmp_path


def _call(folder: Path, *arguments: str) -> tuple[int, str]:
    where = ["--company", str(folder / "company.yaml"), "--home", str(folder / "home")]
    done = CliRunner().invoke(app, ["strategies", *arguments, *where], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def _set(folder: Path, *arguments: str) -> tuple[int, str]:
    return _call(folder, "set", "retail_voucher", "--by", "Ann", "--reason", "a test", *arguments)


def test_a_change_shows_in_the_list_in_the_message_and_in_the_history(folder: Path) -> None:
    assert _set(folder, "--strength", "1.5") == (0, "retail_voucher: strength 1.5. The next plan goes by it.\n")
    _set(folder, "--pause", "--customer", "c1")
    shown = _call(folder, "show", "retail_voucher")[1]
    assert "€7.50 off your next basket" in shown
    assert "for customer c1, paused, strength 1.5" in shown
    assert "strength 0.5 to 2, valid for 7 to 28 days; or paused." in shown
    (row,) = [line for line in _call(folder, "list")[1].splitlines() if "retail_voucher" in line and "c1" not in line]
    assert "strength 1.5" in row
    history = _call(folder, "history", "retail_voucher")[1]
    assert [part in history for part in ("strength 1.5", "paused, for customer c1", "Ann", "a test")] == [True] * 4


def test_a_wrong_change_is_one_paragraph_and_leaves_nothing(folder: Path) -> None:
    code, output = _set(folder, "--strength", "9")
    assert (code, output) == (2, "The strength of retail_voucher may lie between 0.5 and 2, not at 9.\n")
    assert "retail_voucher" not in _call(folder, "history")[1]


def test_an_unknown_strategy_is_answered_with_the_known_ones(folder: Path) -> None:
    code, output = _call(folder, "show", "retail_vucher")
    assert code == 2
    assert output.startswith("There is no strategy 'retail_vucher'; known here: retail_personal_call, ")


def test_a_state_set_by_a_person_shows_with_its_reason_until_it_is_released(folder: Path) -> None:
    named = ["--by", "Ann", "--reason", "too early"]
    assert _call(folder, "state", "retail_voucher", "draft", *named) == (
        0,
        "retail_voucher is draft until it is released. The next plan goes by it.\n",
    )
    _call(folder, "state", "retail_voucher", "--release", *named)
    shown = [line for line in _call(folder, "reviews")[1].splitlines() if "retail_voucher" in line]
    assert [part in shown[0] for part in ("live to draft", "too early", "Ann")] == [True] * 3
    assert len(shown) == 2


def test_a_state_that_is_none_is_answered_with_those_there_are(folder: Path) -> None:
    code, output = _call(folder, "state", "retail_voucher", "lively", "--by", "Ann", "--reason", "a test")
    assert (code, output) == (2, "Name one state of draft, live, watch, retired, or pass --release alone.\n")
