"""`holdfast alerts` and `holdfast incidents`, as two people use them on an instance with three alerts."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from company.policy import load_policy
from orchestration.cli import app
from retention.acting.alerts import raise_alerts
from retention.acting.incidents import Incident
from retention.deciding.tiers import assign
from retention.store.store import Store

Call = Callable[..., tuple[int, str]]
DAY = date(2026, 6, 1)
RAISED = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def folder(idle_instance: Path) -> Path:
    with open_store(idle_instance) as store:
        policy = load_policy()
        scores = pd.DataFrame({"customer_id": ["ada", "bob", "cy"], "score": [95.0, 90.0, 60.0]}).assign(
            as_of=DAY, main_reason="price", why_en="pays less", why_zh="消费下降", money_at_risk=50.0
        )
        scores = assign(scores.assign(probability=scores["score"] / 100), policy)
        store.alerts.record(raise_alerts(scores, policy), at=RAISED)
        store.incidents.record([make_incident()], as_of=DAY, at=RAISED, policy=policy)
    return idle_instance


@pytest.fixture
def call(folder: Path) -> Call:
    def call(*arguments: str) -> tuple[int, str]:
        where = ["--company", str(folder / "company.yaml"), "--home", str(folder / "home")]
        done = CliRunner().invoke(app, [*arguments, *where], env={"COLUMNS": "200"})
        return done.exit_code, " ".join(done.output.split())

    return call


def open_store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'home' / 'operational.db'}")


def make_incident() -> Incident:
    return Incident(
        measure="complaints", group_name="region: north", first_date=DAY - timedelta(days=3), last_date=DAY,
        customers=("dee", "eve"), count_expected=0.5, ratio=4.0, p_value=1e-6, q_value=1e-5, money_at_risk=None,
        cause_en="region: north: 2 customers complained.", cause_zh="region: north: 2 名客户投诉。", grade="yellow",
    )  # fmt: skip


def id_of(folder: Path, customer: str) -> str:
    with open_store(folder) as store:
        return str(store.alerts.read().set_index("customer_id")["alert_id"][customer])


def test_two_people_answer_alerts_and_one_of_them_is_faster(call: Call, folder: Path) -> None:
    ada, bob = id_of(folder, "ada"), id_of(folder, "bob")
    assert "Alerts: 3 open" in call("alerts", "list")[1]
    assert call("alerts", "ack", ada[:10], "--by", "Ann")[1].startswith(f"{ada} is acknowledged, of retention desk")
    code, refused = call("alerts", "ack", ada, "--by", "Bea")
    assert (code, f"{ada} is not open" in refused) == (2, True)
    assert call("alerts", "hand-over", ada, "--by", "Ann", "--to", "marketing")[0] == 0
    assert call("alerts", "step", ada, "identify", "--by", "Bea")[0] == 0
    assert call("alerts", "close", ada, "--by", "Bea", "--feedback", "useful", "--note", "stays")[0] == 0
    assert call("alerts", "snooze", bob, "--by", "Bea", "--until", "2999-01-04 09:00")[0] == 0
    listed = [call("alerts", "list", "--state", state)[1] for state in ("open", "snoozed", "closed")]
    assert [re.findall(r"│ (ada|bob|cy) ", shown) for shown in listed] == [["cy"], ["bob"], ["ada"]]
    log = call("alerts", "show", ada)[1]
    found = [log.index(f"│ {word} ") for word in ("raised", "acknowledged", "handed_over", "step_done", "closed")]
    assert found == sorted(found)
    assert "marketing" in log
    assert "useful stays" in log


def test_an_answer_that_cannot_be_given_is_refused_in_a_paragraph(call: Call, folder: Path) -> None:
    cy = id_of(folder, "cy")
    call("alerts", "close", cy, "--by", "Ann", "--feedback", "wrong")
    refused = [
        call("alerts", "close", cy, "--by", "Bea", "--feedback", "useful"),
        call("alerts", "snooze", cy, "--by", "Bea", "--until", "2999-01-04"),
        call("alerts", "ack", "zz", "--by", "Bea"),
        call("alerts", "close", id_of(folder, "bob"), "--by", "Bea", "--feedback", "fine"),
        call("alerts", "snooze", id_of(folder, "bob"), "--by", "Bea", "--until", "2020-01-01"),
        call("alerts", "list", "--state", "gone"),
    ]
    assert [code for code, _ in refused] == [2] * len(refused)
    reasons = ("is not open or acknowledged", "is not open or acknowledged", "No alert has an id that begins with 'zz'",
               "'fine' is no feedback", "which has passed", "'gone' is no state")  # fmt: skip
    assert [reason in text for (_, text), reason in zip(refused, reasons, strict=True)] == [True] * len(refused)
    with open_store(folder) as store:
        assert store.alerts.read_answers().dropna(subset="feedback")[
            ["customer_id", "feedback"]
        ].to_numpy().tolist() == [["cy", "wrong"]]


def test_an_incident_is_answered_by_the_same_commands(call: Call, folder: Path) -> None:
    with open_store(folder) as store:
        (row,) = store.incidents.find()
    incident = row["incident_id"]
    assert "customer service" in call("incidents", "list")[1]
    call("incidents", "hand-over", incident[:8], "--by", "Ann", "--to", "management")
    assert call("incidents", "ack", incident, "--by", "Ann")[1].startswith(f"{incident} is acknowledged, of management")
    shown = call("incidents", "show", incident)[1]
    assert "Customers: dee, eve" in shown
    assert re.search(r"rung 1 │ management .* answer|answer │ management", shown)
    assert call("incidents", "close", incident, "--by", "Ann", "--feedback", "useful")[0] == 0
    assert call("incidents", "list")[1] == "There is no such incident."
