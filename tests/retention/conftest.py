"""An HTTP receiver, candidates and strategies that the tests share."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
import pytest
from stores import postgres, postgres_url, sqlite_store, store, url

from company.policy import Policy, load_policy
from retention.deciding.strategies import Strategy

__all__ = ["postgres", "postgres_url", "sqlite_store", "store", "url"]

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def policy() -> Policy:
    return load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}, "capacity": {"phone": 1000}})


@pytest.fixture
def make_strategy() -> Callable[..., Strategy]:
    def make(strategy_id: str = "voucher", **changes: object) -> Strategy:
        entry: dict[str, Any] = {
            "id": strategy_id,
            "name": {"en": strategy_id, "zh": "方案"},
            "tiers": ["high", "medium"],
            "channel": "in_app",
            "valid_days": 14,
            "modules": [{"kind": "coupon", "amount": 10.0, "take_up": 0.5}],
            "effect": {"value": 0.1, "basis": "assumption", "source": "a test"},
            "message": {"en": "{amount} off for {valid_days} days", "zh": "{valid_days} 天内优惠 {amount}"},
        }
        return Strategy.model_validate(entry | changes)

    return make


@pytest.fixture
def make_candidates() -> Callable[..., pd.DataFrame]:
    def make(count: int = 3, **columns: object) -> pd.DataFrame:
        frame = pd.DataFrame({"customer_id": [f"c{number:03d}" for number in range(count)]})
        defaults: dict[str, Any] = {
            "as_of": AS_OF,
            "probability": 0.9,
            "score": 90.0,
            "level": "high",
            "main_reason": "inactivity",
            "value_tier": "gold",
            "clv": 1000.0,
            "model_version": "7",
            "tier": "high",
            "alert_level": "high",
            "lifecycle_stage": "active",
            "kind": "person",
            "return_rate": None,
            "reasons": "inactivity",
            "triggers": "",
            "ticket_topic": None,
            "tags": "",
            "allowed_channels": "in_app,phone,email",
            "service_channels": "in_app,phone,email",
        }
        frame = frame.assign(**(defaults | columns))
        return frame.assign(money_at_risk=frame["probability"] * frame["clv"])

    return make


@pytest.fixture
def receiver() -> Iterator["Receiver"]:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield receiver
    receiver.shutdown()
    receiver.server_close()


class Receiver(ThreadingHTTPServer):
    """A real HTTP receiver on a loopback port that can be told to misbehave.

    Keeps every message it takes, without removing doubles; `script` holds what to do with the next requests.

    Actions: ok, lose (break the connection before taking), take_and_lose, take_and_kill (the sender), or a status
    code such as 500; `take_and_500` takes the message and answers 500 all the same.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.script: list[str] = []
        self.lookup_script: list[str] = []
        self.retry_after: str | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/messages"

    @property
    def lookup(self) -> str:
        return f"{self.address}/{{key}}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(("POST", dict(self.headers)))
        action = self.server.script.pop(0) if self.server.script else "ok"
        if self.headers["Moment"] == "during":
            action = "take_and_kill"
        if action == "ok" or action.startswith("take_and"):
            self.server.bodies.append(body)
            self.server.taken.append(self.headers["Idempotency-Key"])
        if action == "take_and_kill":
            os.kill(int(self.headers["Sender"]), signal.SIGKILL)
        if action in {"lose", "take_and_lose", "take_and_kill"}:
            self.close_connection = True
            return
        self._answer({"ok": 201, "take_and_500": 500}.get(action) or int(action))

    def do_GET(self) -> None:
        self.server.requests.append(("GET", dict(self.headers)))
        action = self.server.lookup_script.pop(0) if self.server.lookup_script else "ok"
        if action != "ok":
            self._answer(int(action))
            return
        self._answer(200 if self.path.rsplit("/", 1)[-1] in self.server.taken else 404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if self.server.retry_after is not None:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
