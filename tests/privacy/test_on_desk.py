"""Requests on the desk and by the API: from the day they come to the receipt, by those who may."""

import base64
import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from erasable import Scene, deploy
from receivers import receive
from starlette.testclient import TestClient

from company.policy import load_policy
from orchestration.privacy.callbacks import Callbacks
from orchestration.privacy.erasing import SIGNING_KEY
from orchestration.privacy.on_desk import open_office
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.resources import open_warehouse
from privacy.receipt import public_key_of, verify
from serving.access import read_access
from serving.desk.app import create_app, read_templates
from serving.desk.visit import SESSION_COOKIE, Desk
from serving.sign_in import passwords
from serving.sign_in.keys import ApiKey
from serving.sign_in.users import User
from serving.snapshot import Snapshot

HOST, PASSWORD, NOW = "http://127.0.0.1", "correct horse battery", datetime(2024, 3, 1, 12, tzinfo=UTC)
WAIT_SECONDS = 60
CALLED = {"desk": {"api": {"webhook_hosts": ["127.0.0.1"]}}}
Open = Callable[[str], TestClient]


@pytest.fixture
def desk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(passwords, "COST", 16)
    published = shutil.copy(
        scene.home / "published" / "holdfast.duckdb", scene.home.parent
    )  # erasing is in this process
    about = "select 'Shop' as company, 'CHF' as currency, 'Europe/Zurich' as timezone, date '2024-03-01' as as_of"
    open_warehouse(scene.deployment.settings).publish(Path(published), {"about": about}, is_update=True)
    settings = deploy(scene.home.parent).settings
    return Desk(
        snapshot=Snapshot(path=Path(published)), store=scene.store, access=read_access(), policy=load_policy(CALLED),
        templates=read_templates(), now=lambda: NOW,
        office=open_office(settings.environment, scene.store, settings.company_file),
    )  # fmt: skip


@pytest.fixture
def person(desk: Desk) -> Open:
    def sign_in(role: str) -> TestClient:
        link = desk.users.add(User(name=role, role=role), by="test", at=NOW)
        session = desk.users.choose_password(link, PASSWORD, at=NOW)
        return TestClient(create_app(desk), base_url=HOST, cookies={SESSION_COOKIE: session})

    return sign_in


def program(desk: Desk, role: str) -> TestClient:
    key = desk.keys.add(ApiKey(name="partner", role=role), by="test", at=NOW, days=1)
    return TestClient(create_app(desk), base_url=HOST, headers={"Authorization": f"Bearer {key}"})


def submit(client: TestClient, page: str, path: str, **fields: str) -> str:
    token = client.get(page).text.split('name="csrf" value="')[1].split('"')[0]
    answer = client.post(path, data={"csrf": token, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.url.path)


def test_a_copy_is_asked_for_made_and_handed_out_on_the_desk(desk: Desk, person: Open) -> None:
    client = person("dpo")
    assert "Nobody" not in client.get("/privacy").text
    place = submit(client, "/privacy", "/privacy", kind="portability", customer_id="cyn-005", law="gdpr")
    assert client.get(place).text.count("received") >= 1
    submit(client, place, f"{place}/verify", note="passport seen")
    submit(client, place, f"{place}/run")
    ended = time.monotonic() + WAIT_SECONDS
    while "copy.zip" not in client.get(place).text and time.monotonic() < ended:
        time.sleep(0.2)
    packed = zipfile.ZipFile(io.BytesIO(client.get(f"{place}/files/copy.zip").content))
    content = b"".join(packed.read(name) for name in packed.namelist()).decode()
    assert ("cyn-005" in content, "cynthia@obrist.example" in content, "ann-001" in content) == (True, True, False)
    trail = [(each["action"], each["detail"]) for each in desk.audit.read(limit=9)]
    assert ("privacy", "portability: copy.zip downloaded") in trail


def test_a_request_for_nobody_is_not_written_down(person: Open, scene: Scene) -> None:
    client = person("dpo")
    submit(client, "/privacy", "/privacy", kind="erasure", customer_id="nobody-999")
    assert scene.requests.read() == []


def test_who_has_not_the_role_sees_no_request(person: Open, desk: Desk) -> None:
    assert person("retention_manager").get("/privacy").status_code == 403
    assert program(desk, "analyst").get("/v1/privacy/requests").status_code == 403


def test_who_sent_a_request_is_called_signed_once_per_status_and_again_where_the_call_was_not_taken(
    desk: Desk, scene: Scene
) -> None:
    with receive() as receiver:
        client = program(desk, "dpo")
        body = {
            "regulation": "gdpr",
            "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
            "subject_request_type": "objection",
            "submitted_time": "2024-01-31T15:00:00Z",
            "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": "ann-001"}],
            "status_callback_urls": [receiver.address],
        }
        elsewhere = client.post("/v1/privacy/requests", json=body | {"status_callback_urls": ["https://other.example"]})
        assert (elsewhere.status_code, scene.requests.read()) == (422, [])
        assert client.post("/v1/privacy/requests", json=body).status_code == 201
        office = open_office(scene.deployment.settings.environment, scene.store, scene.deployment.settings.company_file)
        assert office is not None
        key_file = scene.home / OWN_RECORDS / SIGNING_KEY
        callbacks = Callbacks(requests=scene.requests, office=office, key_file=key_file, now=lambda: NOW)
        receiver.script = ["503"]
        assert [callbacks.deliver() for _ in range(3)] == [
            {"taken": 0, "not_taken": 1}, {"taken": 1, "not_taken": 0}, {"taken": 0, "not_taken": 0},
        ]  # fmt: skip
        request = scene.requests.read()[0]
        scene.requests.end(request, "refused", by="dpo", at=NOW, note="nobody of that name")
        assert callbacks.deliver() == {"taken": 1, "not_taken": 0}
        assert [each["request_status"] for each in receiver.bodies] == ["pending", "cancelled"]
        known = client.get(f"/v1/privacy/requests/{body['subject_request_id']}").json()
        assert receiver.bodies[-1] == known | {"status_callback_url": receiver.address}
        key = load_pem_public_key(
            client.get(client.get("/v1/privacy/discovery").json()["processor_certificate"]).content
        )
        assert isinstance(key, Ed25519PublicKey)
        key.verify(
            base64.b64decode(receiver.requests[-1][1]["X-OpenDSR-Signature"]), json.dumps(receiver.bodies[-1]).encode()
        )


def test_a_program_sends_a_request_once_follows_it_and_fetches_the_receipt(desk: Desk, scene: Scene) -> None:
    client = program(desk, "dpo")
    body = {
        "regulation": "gdpr",
        "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
        "subject_request_type": "erasure",
        "submitted_time": "2024-01-31T15:00:00Z",
        "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": "ann-001"}],
    }
    answers = [client.post("/v1/privacy/requests", json=body) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["expected_completion_time"] == "2024-02-29T23:59:59Z"
    assert client.post("/v1/privacy/requests", json=body | {"subject_request_type": "access"}).status_code == 409
    path = f"/v1/privacy/requests/{body['subject_request_id']}"
    assert client.get(path).json()["request_status"] == "pending"
    request = scene.requests.move(scene.requests.read()[0], "verified", by="dpo", at=NOW, note="passport seen")
    scene.erasing.plan([request])
    assert client.get(path).json()["request_status"] == "in_progress"
    erasing = replace(scene.erasing, now=lambda: NOW)
    erasing.run([scene.requests.find(request.request_id)])
    state = client.get(path).json()
    assert (state["request_status"], client.get(state["results_url"]).status_code) == ("completed", 200)
    receipt, key = (scene.home.parent / name for name in ("receipt.json", "signing.pub"))
    receipt.write_bytes(client.get(f"{path}/receipt.json").content)
    key.write_bytes(client.get(f"{path}/signing.pub").content)
    assert key.read_bytes() == public_key_of(scene.home / OWN_RECORDS / SIGNING_KEY).read_bytes()
    assert verify(receipt, public_key_file=key)["request_id"] == request.request_id
    assert "ann-001" not in json.dumps(state)
    assert client.delete(path).status_code == 409
