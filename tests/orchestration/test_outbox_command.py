"""`holdfast outbox` and `holdfast consent`, as a person uses them on an instance with six planned messages."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from bench.outbox import fill
from orchestration.cli import app
from retention.acting.inbox import Inbox
from retention.store.store import Store
from retention.store.tables import OUTBOX

Call = Callable[..., tuple[int, str]]
COUNT = 6


@pytest.fixture
def folder(idle_instance: Path) -> Path:
    with open_store(idle_instance) as store:
        fill(store, COUNT)
        with store.database.write() as connection:
            connection.execute(update(OUTBOX).values(useful_until=date(2999, 1, 1)))
    return idle_instance


@pytest.fixture
def call(folder: Path) -> Call:
    def call(*arguments: str) -> tuple[int, str]:
        where = ["--company", str(folder / "company.yaml"), "--home", str(folder / "home")]
        done = CliRunner().invoke(app, [*arguments, *where], env={"COLUMNS": "200"})
        return done.exit_code, done.output

    return call


def open_store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'home' / 'operational.db'}")


def set_state(folder: Path, customer: str, state: str) -> str:
    """Leave a customer's message in a state, as a sender that met a bad receiver would; return its key."""
    with open_store(folder) as store, store.database.write() as connection:
        connection.execute(
            update(OUTBOX).where(OUTBOX.c.customer_id == customer).values(state=state, trouble="no answer")
        )
        rows = store.outbox.read()
    return str(rows.loc[rows["customer_id"] == customer, "idempotency_key"].item())


def test_everything_is_sent_once_and_proven(call: Call, folder: Path) -> None:
    assert call("outbox", "send") == (0, f"sent {COUNT}\n")
    assert call("outbox", "send") == (0, "Nothing is due.\n")
    assert Inbox(folder / "home" / "outbox" / "inbox.db").count() == {"in_app": (COUNT, 0)}
    code, output = call("outbox", "prove")
    assert code == 0
    assert output == (
        f"{COUNT} treatments planned, {COUNT} messages, {COUNT} left, {COUNT} of them confirmed by their receiver, "
        "0 by receivers that cannot be asked; 0 disagreements.\n"
    )


def test_a_consent_withdrawn_the_moment_before_stops_the_message_and_is_proven_too(call: Call) -> None:
    assert call("consent", "withdraw", "c000002", "--by", "Ann") == (
        0, "No all message leaves to c000002 by all from now on.\n"
    )  # fmt: skip
    assert call("outbox", "send") == (0, f"sent {COUNT - 1}, held 1\n")
    assert call("consent", "grant", "c000002", "--by", "Ann", "--channel", "app")[0] == 0
    assert call("outbox", "send") == (0, "Nothing is due.\n")
    code, output = call("outbox", "prove")
    assert code == 0
    assert f"{COUNT - 1} left" in output


def test_a_message_lost_at_the_receiver_is_a_disagreement(call: Call, folder: Path) -> None:
    call("outbox", "send")
    (folder / "home" / "outbox" / "inbox.db").unlink()
    code, output = call("outbox", "prove")
    assert code == 1
    assert output.count("its receiver has not got it") == COUNT


def test_a_person_settles_what_nobody_knows_and_plans_again_what_failed(call: Call, folder: Path) -> None:
    lost, arrived = (set_state(folder, customer, "unknown") for customer in ("c000000", "c000001"))
    failed = set_state(folder, "c000003", "failed")
    shown = call("outbox", "status")[1]
    for key in (lost, arrived, failed):
        assert key in shown
    assert call("outbox", "settle", arrived, "--delivered", "--by", "Ann") == (
        0,
        f"{arrived} is sent, as Ann decided.\n",
    )
    assert call("outbox", "settle", lost, "--not-delivered", "--by", "Ann")[1] == f"{lost} is failed, as Ann decided.\n"
    assert call("outbox", "redrive", "--by", "Ann")[1].startswith("2 messages are planned again")
    code, output = call("outbox", "settle", arrived, "--delivered", "--by", "Ann")
    assert code == 2
    assert arrived in output


def test_without_an_instance_one_paragraph_says_so(folder: Path) -> None:
    other = folder / "elsewhere"
    done = CliRunner().invoke(
        app, ["outbox", "status", "--company", str(folder / "company.yaml"), "--home", str(other)]
    )
    assert (done.exit_code, other.exists()) == (2, False)
    assert "there is no instance here yet" in " ".join(done.output.split())


def test_what_the_gateway_received_is_exported_without_an_address(call: Call, folder: Path) -> None:
    call("outbox", "send")
    path = folder / "contacts.jsonl"
    assert call("outbox", "export", str(path)) == (0, f"{COUNT} messages written to {path}.\n")
    contacts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(each["customer_id"] for each in contacts) == [f"c{number:06}" for number in range(COUNT)]
    assert {tuple(each) for each in contacts} == {("customer_id", "channel", "offers", "arrived_at")}
