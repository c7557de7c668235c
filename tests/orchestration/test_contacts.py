"""Clear contact data on the desk: for who answers for the customer, out of the real vault, with both audits."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from published_shop import NOW, make_tables, write_snapshot
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from company.policy import load_policy
from ingestion.vault import MASTER_KEY_NAME, URL_NAME, Sealable, Vault
from orchestration.contacts import open_reveal
from retention.store.store import Store
from serving.access import Access, read_access
from serving.audit import AuditLog
from serving.desk.app import create_app, read_templates
from serving.desk.visit import SESSION_COOKIE, Desk
from serving.sign_in import passwords
from serving.sign_in.users import User
from serving.snapshot import Snapshot

HOST, ADDRESS, MINE, OTHERS = "http://127.0.0.1", "ada@example.com", "secret-003", "secret-001"


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    return {URL_NAME: f"sqlite:///{tmp_path / 'vault.db'}", MASTER_KEY_NAME: "a master key of a test"}


@pytest.fixture
def desk(tmp_path: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(passwords, "COST", 16)
    write_snapshot(tmp_path / "published.duckdb", make_tables())
    with Store(f"sqlite:///{tmp_path / 'operational.db'}") as store:
        store.migrate()
        seal(secrets, store)
        yield Desk(
            snapshot=Snapshot(path=tmp_path / "published.duckdb"), store=store, access=read_access(),
            policy=load_policy(), templates=read_templates(), now=lambda: NOW, reveal=open_reveal(secrets, store),
        )  # fmt: skip


def seal(secrets: dict[str, str], store: Store) -> None:
    value = Sealable(source="crm", customer_id="a1", column="email", token="t1", clear=ADDRESS)
    Vault.from_secrets(secrets).seal([value], at=datetime(2024, 9, 1, tzinfo=UTC).replace(tzinfo=None))
    row = {"customer_id": MINE, "language": "en", "email_source": "crm", "email_account": "a1", "email_token": "t1"}
    absent = dict.fromkeys(("phone_source", "phone_account", "phone_token"))
    store.recipients.replace(pd.DataFrame([{**row, **absent}]))


def sign_in(desk: Desk, role: str) -> TestClient:
    link = desk.users.add(User(name=role, role=role, owner="ann"), by="test", at=NOW)
    session = desk.users.choose_password(link, "correct horse battery", at=NOW)
    return TestClient(create_app(desk), base_url=HOST, cookies={SESSION_COOKIE: session})


def ask(client: TestClient, customer_id: str, reason: str):  # noqa: ANN201 - httpx's own answer
    token = re.search(r'name="csrf" value="(\w+)"', client.get("/today").text)
    assert token is not None
    return client.post(f"/contact/{customer_id}", data={"csrf": token[1], "reason": reason})


def test_an_agent_sees_the_address_of_a_customer_of_theirs_once_and_both_logs_have_it(
    desk: Desk, secrets: dict[str, str]
) -> None:
    agent = sign_in(desk, "agent")
    assert ADDRESS not in agent.get(f"/customers/{MINE}").text
    shown = ask(agent, MINE, "calls back about the alert")
    assert (shown.status_code, ADDRESS in shown.text) == (200, True)
    assert ADDRESS not in agent.get(f"/customers/{MINE}").text
    entry = next(each for each in AuditLog(desk.store.database).read(limit=9) if each["action"] == "contact")
    assert (entry["done_by"], entry["customer_id"], entry["detail"]) == ("agent", MINE, "calls back about the alert")
    with create_engine(secrets[URL_NAME]).connect() as connection:
        asked = connection.execute(text("select asker, purpose, customer_id, column_name from vault_askings")).all()
    assert asked == [("agent", "calls back about the alert", "a1", "email")]


@pytest.mark.parametrize(
    ("role", "customer_id", "reason", "status"),
    [
        ("agent", OTHERS, "curious", 404),
        ("agent", MINE, "  ", 400),
        ("agent", MINE, "x" * 401, 400),
        ("retention_manager", MINE, "to call", 403),
        ("admin", MINE, "to call", 403),
    ],
)
def test_nobody_else_and_nobody_without_a_reason_sees_an_address(  # noqa: PLR0917 - what is parametrized
    role: str, customer_id: str, reason: str, status: int, desk: Desk, secrets: dict[str, str]
) -> None:
    answer = ask(sign_in(desk, role), customer_id, reason)
    assert (answer.status_code, ADDRESS in answer.text) == (status, False)
    with create_engine(secrets[URL_NAME]).connect() as connection:
        assert connection.execute(text("select count(*) from vault_askings")).scalar_one() == 0


def test_without_a_vault_the_page_offers_nothing(desk: Desk) -> None:
    assert open_reveal({}, desk.store) is None
    agent = sign_in(replace(desk, reveal=None), "agent")
    assert "Show contact data" not in agent.get(f"/customers/{MINE}").text
    assert ask(agent, MINE, "to call").status_code == 404


def test_a_role_that_sees_everybody_cannot_be_given_contact_data() -> None:
    content = read_access().model_dump()
    content["roles"]["analyst"]["actions"] = (*content["roles"]["analyst"]["actions"], "contact")
    with pytest.raises(ValueError, match="contact data is for who has customers of their own"):
        Access.model_validate(content)
