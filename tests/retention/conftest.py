"""Receivers, candidates, strategies, and a clock that the tests share."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest
from clocks import Clock
from receivers import MailServer, Receiver, receive

from company.policy import Policy, load_policy
from retention.acting.channels import Channel
from retention.acting.dispatch import Sending
from retention.acting.rules import SendingRules
from retention.deciding.strategies import Strategy

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def policy() -> Policy:
    nobody = {"holdout": {"share": 0.0}, "exploration": {"share": 0.0}}
    return load_policy(nobody | {"capacity": {"phone": 1000}, "effects": {"still_felt": 0.0}})


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
        value: Any = columns.pop("value", 1000.0)
        frame = frame.assign(**(defaults | columns))
        return frame.assign(money_at_risk=frame["probability"] * value)

    return make


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.is_over = True
    server.shutdown()
    server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture
def prepare(clock: Clock) -> Callable[..., Sending]:
    """Sending by the given channels, on the clock of the test; keywords `policy` and others change it."""

    def prepare(channels: Mapping[str, Channel], policy: Policy | None = None, **changes: object) -> Sending:
        policy = policy or load_policy()
        rules = SendingRules(contact=policy.contact_rules, timezone="UTC")
        usual: dict[str, Any] = {"delivery": policy.delivery, "rules": rules, "clock": clock, "sleep": clock.sleep}
        return Sending(channels=channels, **(usual | changes))

    return prepare
