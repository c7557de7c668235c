"""`holdfast encryption rotate`, and what every command refuses before it opens anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from company.sealed_file import seal
from orchestration.cli import app

KEY, NEXT = "q7Jw2mZx0aVf9KtB3sLr8YdH", "Zt4Kc8PqLw1nXv6RbJ0sGy5M"
FILES = ("warehouse.duckdb", "operational.db")


def call(folder: Path, *command: str, key: str = "", to: str = "") -> tuple[int, str]:
    environment = {"HOLDFAST_ENCRYPTION_KEY": key, "HOLDFAST_NEW_ENCRYPTION_KEY": to, "COLUMNS": "400"}
    named = ["--home", str(folder / "home")]
    named += [] if command[0] == "encryption" else ["--company", str(folder / "company.yaml")]
    done = CliRunner().invoke(app, [*command, *named], env=environment)
    return done.exit_code, done.output


def test_an_instance_in_clear_becomes_encrypted_and_its_key_is_changed(idle_instance: Path) -> None:
    code, said = call(idle_instance, "outbox", "status", key=KEY)
    assert (code, "written without encryption" in said) == (2, True), said
    assert call(idle_instance, "encryption", "rotate", to=KEY)[0] == 0
    message = idle_instance / "home" / "outbox" / "k1.json"
    message.parent.mkdir(exist_ok=True)
    message.write_bytes(seal(b"a message", key=KEY))
    heads = [(idle_instance / "home" / name).read_bytes()[:4096] for name in FILES]
    assert b"SQLite format 3" not in heads[1]
    assert call(idle_instance, "outbox", "status", key=KEY)[0] == 0
    code, said = call(idle_instance, "outbox", "status")
    assert (code, "HOLDFAST_ENCRYPTION_KEY is not set" in said) == (2, True)
    assert "3 files are written anew" in call(idle_instance, "encryption", "rotate", key=KEY, to=NEXT)[1]
    assert "0 files are written anew" in call(idle_instance, "encryption", "rotate", key=KEY, to=NEXT)[1]
    assert call(idle_instance, "outbox", "status", key=NEXT)[0] == 0
    code, said = call(idle_instance, "outbox", "status", key=KEY)
    assert (code, "is not the one this file was encrypted with" in said) == (2, True)
    opened = idle_instance / "opened"
    code, said = call(idle_instance, "encryption", "open", str(message), "--to", str(opened), key=KEY)
    assert (code, "sealed under another key" in said) == (2, True), said
    assert call(idle_instance, "encryption", "open", str(message), "--to", str(opened), key=NEXT)[0] == 0
    assert (opened / "k1.json").read_bytes() == b"a message"
    assert call(idle_instance, "encryption", "rotate", "--to-clear", key=NEXT)[0] == 0
    assert message.read_bytes() == b"a message"
    assert call(idle_instance, "outbox", "status")[0] == 0


@pytest.mark.parametrize(
    ("key", "problem"), [("", "`encryption` is `required`"), ("passwordpassword", "repeats a shorter text")]
)
def test_a_missing_key_where_one_is_required_and_one_that_can_be_guessed_are_refused(
    idle_instance: Path, key: str, problem: str
) -> None:
    with (idle_instance / "company.yaml").open("a") as company:
        company.write("\nencryption: required\n")
    code, said = call(idle_instance, "outbox", "status", key=key)
    assert (code, problem in said) == (2, True), said
