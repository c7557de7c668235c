"""The built-in gateway's page, and the reports of receivers."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from orchestration.gateway import build_app
from retention.acting.channels import Message, build_channels
from retention.acting.inbox import Arrival, Inbox
from retention.acting.signing import sign
from retention.store.store import Store
from retention.store.tables import LEDGER, OUTBOX

AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)
KEY = b"a key of 24 bytes or more"


@pytest.fixture
def client(sqlite_store: Store, tmp_path: Path) -> TestClient:
    inbox = Inbox(tmp_path / "inbox.db")
    body = {"customer_id": "c1", "valid_until": "2017-12-15"}
    arrival = Arrival(key="k1", kind="gateway", channel="sms", text="<b>10 off</b>", body=body, arrived_at=AT)
    inbox.take(arrival)
    inbox.take(arrival)
    day = date(2017, 12, 1)
    common = {"customer_id": "c1", "strategy_id": "s", "channel": "sms", "as_of": day, "is_replay": False}
    message = {"idempotency_key": "k1", "occasion": "o", "version": "1", "purpose": "marketing", "rank": 1,
               "body": "{}", "useful_until": day, "state": "unknown", "attempts": 1, "updated_at": AT}  # fmt: skip
    entry = {"entry_id": "e", "arm": "treated", "event": "assigned", "cost": 1.0, "idempotency_key": "k1",
             "happened_at": AT, "recorded_at": AT}  # fmt: skip
    with sqlite_store.database.write() as connection:
        connection.execute(OUTBOX.insert().values(common | message))
        connection.execute(LEDGER.insert().values(common | entry))
    app = build_app(inbox, sqlite_store, keys={"sms": [KEY]}, clock=lambda: AT)
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture
def report(client: TestClient) -> Callable[..., tuple[int, dict[str, object]]]:
    def report(key: bytes = KEY, kind: str = "sms", **content: str) -> tuple[int, dict[str, object]]:
        body = json.dumps({"key": "k1", "event": "opened", "at": AT.isoformat()} | content).encode()
        answer = client.post(f"/receipts/{kind}", content=body, headers=sign([key], key="m", at=AT, body=body))
        return answer.status_code, answer.json()

    return report


def test_the_page_shows_what_arrived_and_what_came_twice_and_runs_nothing_of_it(client: TestClient) -> None:
    page = client.get("/?channel=sms").text
    for words in ("sms (1)", "c1", "&lt;b&gt;10 off&lt;/b&gt;", "arrived 2 times", "2017-12-15"):
        assert words in page
    assert "10 off" not in client.get("/?channel=push").text


def test_another_site_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "example.org"}).status_code == 403


def test_a_signed_report_is_recorded_once_and_settles_an_unknown_message(
    report: Callable[..., tuple[int, dict[str, object]]],
    sqlite_store: Store,
) -> None:
    assert [report(), report(), report(event="redeemed")] == [
        (200, {"recorded": True}),
        (200, {"recorded": False}),
        (200, {"recorded": True}),
    ]
    ledger = sqlite_store.ledger.read()
    assert sorted(ledger["event"]) == ["assigned", "opened", "redeemed", "sent"]
    assert sqlite_store.outbox.read()["state"].tolist() == ["sent"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": b"another key of 24 bytes."}, 401),
        ({"kind": "smtp"}, 401),
        ({"event": "eaten"}, 400),
        ({"at": "2017-12-01T12:00:00"}, 400),
        ({"at": "noon"}, 400),
    ],
)
def test_any_other_report_is_refused(
    report: Callable[..., tuple[int, dict[str, object]]],
    sqlite_store: Store,
    change: dict[str, object],
    status: int,
) -> None:
    assert report(**change)[0] == status
    assert sqlite_store.ledger.read()["event"].tolist() == ["assigned"]


@pytest.fixture
def served(client: TestClient) -> Iterator[str]:
    """The same pages behind a real server on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(client.app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize(
    ("kind", "shown"), [("sms", "10 off"), ("crm", "10 off"), ("coupon", "coupon 10"), ("webhook", "10 off")]
)
def test_channels_over_http_can_be_tried_on_the_gateway_and_leave_no_address_there(
    kind: str, shown: str, served: str, client: TestClient, tmp_path: Path
) -> None:
    settings = {"url": f"{served}/inbox/{kind}", "lookup_url": f"{served}/inbox/{kind}/{{key}}", "media": ["*"]}
    channel = build_channels({kind: settings}, folder=tmp_path, secrets={})["*"]
    body = {"customer_id": "c7", "text": "10 off", "offers": [{"kind": "coupon", "amount": 10}]}
    message = Message(key=f"a-key-of-{kind}", channel="phone", body=body, moment=AT, address="+49 30 901820")
    assert channel.find(message.key) is None
    receipt = channel.send(message)
    assert receipt.reference == ("A-KEY-OF-C" if kind == "coupon" else "http 201")
    assert channel.find(message.key) is not None
    assert shown in client.get("/").text
    kept = Inbox(tmp_path / "inbox.db").find(message.key)
    assert kept is not None
    assert "901820" not in json.dumps(kept.body)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {"Idempotency-Key": "k"}, 400),
        (b"no json", {"Idempotency-Key": "k"}, 400),
        (b"{}", {}, 400),
        (b"x" * 20_000, {"Idempotency-Key": "k"}, 413),
        (b"{}", {"Idempotency-Key": "k", "Origin": "https://example.org"}, 403),
    ],
)
def test_what_is_no_message_is_not_taken(
    body: bytes, headers: dict[str, str], status: int, client: TestClient, tmp_path: Path
) -> None:
    assert client.post("/inbox/sms", content=body, headers=headers).status_code == status
    assert Inbox(tmp_path / "inbox.db").find("k") is None
