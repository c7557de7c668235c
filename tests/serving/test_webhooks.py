"""Webhooks of partners: signed, once, as far as the key's role sees, tried again, given up, and ended."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from clocks import Clock
from published_shop import AS_OF, NOW
from receivers import Receiver, receive
from starlette.testclient import TestClient

from company.policy import load_policy
from retention.acting.alerts import alert_id
from retention.acting.dispatch import DispatchReport, Sending, dispatch
from retention.acting.partners import open_partners
from retention.acting.rules import SendingRules
from retention.acting.signing import read_key, verify
from serving.access import Access
from serving.desk.app import create_app
from serving.desk.visit import Desk
from serving.partners import KINDS, Announcer
from serving.sign_in.keys import ApiKey

HOST = "http://127.0.0.1"
PARTNER, MANAGER = "partner", "retention_manager"
ADDRESS = "https://hooks.example/holdfast"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@dataclass(kw_only=True)
class Instance:
    """A desk with its API, whose webhooks may go to this machine, and what sends."""

    desk: Desk
    clock: Clock
    asked: int = 0

    def open(self, role: str) -> TestClient:
        key = self.desk.keys.add(ApiKey(name=f"test {role}", role=role), by="test", at=self.clock(), days=30)
        client = TestClient(create_app(self.desk), base_url=HOST)
        client.headers.update({"Authorization": f"Bearer {key}"})
        return client

    def post(self, client: TestClient, path: str, **body: object) -> Any:  # noqa: ANN401 - httpx's own answer
        self.asked += 1
        headers = {"Idempotency-Key": f"number-{self.asked}"}
        return client.post(f"/v1/webhooks{path}", json=body or None, headers=headers)

    def subscribe(self, url: str, *events: str, role: str = PARTNER) -> dict[str, Any]:
        return dict(self.post(self.open(role), "", url=url, events=list(events)).json())

    def announce(self, access: Access | None = None) -> int:
        announcer = Announcer(store=self.desk.store, snapshot=self.desk.snapshot, access=access or self.desk.access)
        return announcer.announce(at=self.clock())

    def send(self) -> DispatchReport:
        policy = load_policy({"delivery": {"patience_seconds": 0, "maximum_attempts": 2}})
        sending = Sending(
            channels=open_partners(self.desk.store.subscriptions.read()), delivery=policy.delivery, clock=self.clock,
            rules=SendingRules(contact=policy.contact_rules, timezone="UTC"), sleep=self.clock.sleep,
        )  # fmt: skip
        return dispatch(self.desk.store, sending)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def instance(desk: Desk, clock: Clock) -> Iterator[Instance]:
    clock.now += timedelta(days=1)  # events of the test before are not announced to this one's webhooks
    api = desk.policy.desk.api.model_copy(update={"webhook_hosts": ("hooks.example", "127.0.0.1")})
    policy = desk.policy.model_copy(update={"desk": desk.policy.desk.model_copy(update={"api": api})})
    yield Instance(desk=replace(desk, policy=policy, now=clock), clock=clock)
    for each in desk.store.subscriptions.read():
        desk.store.subscriptions.end(each.subscription_id, at=clock())


@pytest.fixture
def close(instance: Instance) -> Callable[[str], None]:
    """Close the alert of a customer, a minute later."""

    def close(customer_id: str) -> None:
        instance.clock.now += timedelta(minutes=1)
        of = alert_id(AS_OF, customer_id)
        instance.desk.store.alerts.close(of, by="ann", at=instance.clock(), feedback="useful", note="rang mr smith")

    return close


def test_an_event_is_posted_once_signed_and_with_what_the_role_sees(
    instance: Instance, receiver: Receiver, close: Callable[[str], None]
) -> None:
    made = instance.subscribe(receiver.address, "alert.closed")
    close("secret-003")
    assert (instance.announce(), instance.announce(), instance.send().sent, instance.send().sent) == (1, 0, 1, 0)
    (body,), ((_, headers),) = receiver.bodies, receiver.requests
    names = {name.lower(): value for name, value in headers.items()}
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert verify([read_key(made["secret"])], headers=names, body=raw, at=instance.clock()) == receiver.taken[0]
    assert (body["type"], datetime.fromisoformat(body["timestamp"])) == ("alert.closed", instance.clock())
    assert set(body["data"]) == {
        "alert_id", "as_of", "customer_id", "tier", "score", "probability", "priority", "main_reason", "why_en",
        "why_zh", "closed_as", "feedback",
    }  # fmt: skip
    assert (body["data"]["customer_id"], body["data"]["feedback"]) == ("secret-003", "useful")


def test_a_program_of_the_company_sees_the_money_and_who_answers(
    instance: Instance, receiver: Receiver, close: Callable[[str], None]
) -> None:
    instance.subscribe(receiver.address, "alert.closed", role=MANAGER)
    close("secret-004")
    instance.announce()
    instance.send()
    assert {"money_at_risk", "owner"} <= set(receiver.bodies[0]["data"])
    assert "smith" not in json.dumps(receiver.bodies)


def test_a_key_hears_of_its_own_customers_alone(
    instance: Instance, receiver: Receiver, close: Callable[[str], None]
) -> None:
    described = instance.desk.access.model_dump()
    described["roles"]["agent"]["actions"] += ("subscribe",)
    access = Access.model_validate(described)
    key = instance.desk.keys.add(
        ApiKey(name="an agent's", role="agent", owner="ann"), by="test", at=instance.clock(), days=30
    )
    store = instance.desk.store.subscriptions
    store.add(key_id=key.split("_")[1], url=receiver.address, events=("alert.closed",), at=instance.clock())
    for customer in ("secret-006", "secret-007", "secret-008"):  # of ann, bob and nobody
        close(customer)
    instance.announce(access)
    instance.send()
    assert [body["data"]["customer_id"] for body in receiver.bodies] == ["secret-006"]


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_then_given_up_until_somebody_redrives(
    instance: Instance, receiver: Receiver, close: Callable[[str], None]
) -> None:
    instance.subscribe(receiver.address, "alert.closed")
    close("secret-009")
    instance.announce()
    receiver.script = ["503", "503"]
    for _ in range(6):
        instance.send()
        instance.clock.now += timedelta(hours=1)
    ids = {headers["webhook-id"] for _, headers in receiver.requests}
    states = instance.desk.store.outbox.read_state("failed")
    assert (len(receiver.requests), len(ids), len(states)) == (2, 1, 1)
    instance.desk.store.outbox.redrive([states[0]["idempotency_key"]], by="ann", at=instance.clock())
    assert (instance.send().sent, receiver.taken) == (1, list(ids))


def test_an_ended_webhook_and_one_of_a_revoked_key_get_nothing_more(
    instance: Instance, receiver: Receiver, close: Callable[[str], None]
) -> None:
    client = instance.open(PARTNER)
    made = instance.post(client, "", url=receiver.address, events=["alert.closed"]).json()
    close("secret-010")
    assert instance.announce() == 1
    ended = instance.post(client, f"/{made['subscription_id']}/end").json()
    assert ended["ended_at"] is not None
    close("secret-011")
    assert (instance.announce(), instance.send().failed, receiver.requests) == (0, 1, [])
    other = instance.open(PARTNER)
    instance.post(other, "", url=receiver.address, events=["alert.closed"])
    instance.desk.keys.revoke(other.headers["Authorization"].split("_")[1], by="test", at=instance.clock())
    close("secret-012")
    assert instance.announce() == 0


def test_a_replayed_day_is_announced_to_nobody(instance: Instance, receiver: Receiver) -> None:
    from published_shop import make_tables

    instance.subscribe(receiver.address, "alert.created", "plan.committed", role=MANAGER)
    instance.clock.now += timedelta(minutes=1)
    alerts = make_tables()["alerts"].drop(columns="position")
    past = alerts.assign(alert_id="r" + alerts["alert_id"].str[1:], customer_id="other-" + alerts["customer_id"])
    instance.desk.store.alerts.record(past.head(2), at=instance.clock(), is_replay=True)
    instance.desk.store.alerts.record(past.tail(1), at=instance.clock())
    assert instance.announce() == 1


@pytest.mark.parametrize(
    ("url", "events", "status"),
    [
        (ADDRESS, ["alert.created"], 200),
        ("http://hooks.example/x", ["alert.created"], 422),
        ("https://elsewhere.example/x", ["alert.created"], 422),
        ("https://hooks.example@elsewhere.example/x", ["alert.created"], 422),
        ("file:///etc/passwd", ["alert.created"], 422),
        (ADDRESS, ["alert.invented"], 422),
        (ADDRESS, [], 422),
        (ADDRESS, ["plan.committed"], 403),
    ],
)
def test_where_events_may_go_and_which_a_role_may_have(
    url: str, events: list[str], status: int, instance: Instance
) -> None:
    client = instance.open(PARTNER)
    made = instance.post(client, "", url=url, events=events)
    assert made.status_code == status, made.text
    listed = client.get("/v1/webhooks")
    assert (len(listed.json()["data"]), "whsec_" in listed.text) == (int(status == 200), False)


def test_the_webhooks_of_another_key_are_not_there(instance: Instance) -> None:
    made = instance.subscribe(ADDRESS, "alert.created")
    other = instance.open(MANAGER)
    assert instance.post(other, f"/{made['subscription_id']}/end").status_code == 404
    assert other.get("/v1/webhooks").json() == {"data": []}


def test_every_kind_of_event_can_be_asked_for() -> None:
    from typing import get_args

    from serving.api.routes.webhooks import Event

    assert set(get_args(Event)) == set(KINDS)
