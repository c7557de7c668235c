"""The API as a program meets it: confined to its key, page by page, written once, and plain about what went wrong."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from published_shop import AS_OF, NOW, make_money, make_tables, write_snapshot
from starlette.testclient import TestClient

from retention.store.tables import INCIDENTS
from serving.access import MASK_OF_TEXT, read_access
from serving.api.app import LARGEST_BODY
from serving.audit import AuditLog
from serving.desk.app import create_app
from serving.desk.visit import Desk
from serving.sign_in.keys import ApiKey

ACCESS = read_access()
HOST = "http://127.0.0.1"
TABLES = make_tables() | make_money()
CUSTOMER, ALERT_OF = "secret-001", "secret-002"
LISTS = {
    "customers": "customers", "alerts": "alerts", "plan": "plans", "plan/prices": "plan_prices",
    "plan/changes": "plan_changes",
    "incidents": "incidents", "money/periods": "periods",
}  # fmt: skip
EXPORTS = {"customers": "customers", "alerts": "alerts", "plan": "plans", "prices": "plan_prices"}
# method and path -> the actions that it takes; a route that is missing here fails the test below
NEEDED = {
    ("GET", "/about"): (),
    ("GET", "/customers"): ("customers",),
    ("GET", "/customers/{customer_id}"): ("customer",),
    ("GET", "/customers/{customer_id}/scores"): ("customer",),
    ("GET", "/customers/{customer_id}/reasons"): ("customer",),
    ("GET", "/customers/{customer_id}/actions"): ("customer",),
    ("POST", "/customers/{customer_id}/override"): ("override",),
    ("GET", "/alerts"): ("alerts",),
    ("POST", "/alerts/{alert_id}/acknowledge"): ("answer",),
    ("POST", "/alerts/{alert_id}/snooze"): ("answer",),
    ("POST", "/alerts/{alert_id}/assign"): ("answer",),
    ("POST", "/alerts/{alert_id}/step"): ("answer",),
    ("POST", "/alerts/{alert_id}/close"): ("answer",),
    ("GET", "/tasks"): ("alerts",),
    ("GET", "/incidents"): ("incidents",),
    ("POST", "/incidents/{incident_id}/acknowledge"): ("incidents", "answer"),
    ("POST", "/incidents/{incident_id}/assign"): ("incidents", "answer"),
    ("POST", "/incidents/{incident_id}/close"): ("incidents", "answer"),
    ("GET", "/money"): ("money",),
    ("GET", "/money/periods"): ("money",),
    ("GET", "/plan"): ("plan",),
    ("GET", "/plan/prices"): ("plan",),
    ("GET", "/plan/changes"): ("plan",),
    ("GET", "/plan/approval"): ("plan",),
    ("POST", "/plan/approval"): ("approve",),
    ("GET", "/strategies"): ("strategies",),
    ("GET", "/effects"): ("strategies",),
    ("GET", "/health"): ("health",),
    ("POST", "/strategies/{strategy_id}/changes"): ("change",),
    ("GET", "/exports/{name}"): ("export", "customers"),
    ("GET", "/privacy/discovery"): ("privacy",),
    ("GET", "/privacy/signing.pub"): ("privacy",),
    ("GET", "/privacy/requests"): ("privacy",),
    ("POST", "/privacy/requests"): ("privacy",),
    ("GET", "/privacy/requests/{subject_request_id}"): ("privacy",),
    ("DELETE", "/privacy/requests/{subject_request_id}"): ("privacy",),
    ("GET", "/privacy/requests/{subject_request_id}/{name}"): ("privacy",),
    ("GET", "/webhooks"): ("subscribe",),
    ("POST", "/webhooks"): ("subscribe", "alerts"),
    ("POST", "/webhooks/{subscription_id}/end"): ("subscribe",),
}
REQUEST = "a7551968-d5d6-44b2-9831-815ac9017798"
BODIES: dict[str, dict[str, Any]] = {
    "override": {"kind": "lifted", "reason": "a test"},
    "snooze": {"until": (NOW + timedelta(days=1)).isoformat()},
    "close": {"feedback": "useful"},
    "assign": {"owner": "management"},
    "step": {"step": "identify"},
    "approval": {"as_of": AS_OF.isoformat(), "is_approved": True},
    "changes": {"valid_days": 14, "reason": "a test"},
    "webhooks": {"url": "https://hooks.example/x", "events": ["alert.created"]},
    "requests": {
        "regulation": "gdpr", "subject_request_id": REQUEST, "subject_request_type": "erasure",
        "submitted_time": NOW.isoformat(),
        "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": CUSTOMER}],
    },
}  # fmt: skip
Open = Callable[..., TestClient]


@pytest.fixture(scope="module")
def app(desk: Desk) -> Any:  # noqa: ANN401 - an ASGI application
    write_snapshot(desk.snapshot.path, TABLES)
    raise_incident(desk)
    changes = {"requests_per_minute": 10**6, "webhook_hosts": ("hooks.example",)}
    generous = desk.policy.desk.api.model_copy(update=changes)
    policy = desk.policy.model_copy(update={"desk": desk.policy.desk.model_copy(update={"api": generous})})
    return create_app(replace(desk, policy=policy))


def raise_incident(desk: Desk) -> None:
    days = {"as_of": AS_OF, "first_date": AS_OF, "last_date": AS_OF, "raised_at": NOW, "due_at": NOW}
    figures = {"count_customers": 60, "count_expected": 5.0, "ratio": 12.0, "p_value": 1e-9, "q_value": 1e-8}
    words = {"cause_en": "60 customers complained.", "cause_zh": "60 名客户投诉。", "owner": "management"}
    row = {"incident_id": "i-north", "measure": "complaints", "group_name": "region: north", "grade": "orange"}
    row |= {**days, **figures, **words, "answer_minutes": 60, "is_replay": False, "state": "open"}
    with desk.store.database.write() as connection:
        connection.execute(INCIDENTS.insert().values(**row))


@pytest.fixture(scope="module")
def program(desk: Desk, app: Any) -> Open:  # noqa: ANN401 - an ASGI application
    def open_as(role: str, owner: str | None = None, **changes: Any) -> TestClient:  # noqa: ANN401
        key = desk.keys.add(ApiKey(name=f"test {role}", role=role, owner=owner), by="test", at=NOW, days=1)
        client = TestClient(changes.get("app", app), base_url=HOST, raise_server_exceptions=False)
        client.headers.update({"Authorization": f"Bearer {key}"})
        return client

    return open_as


def document(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/v1/openapi.json").json())


def ask(client: TestClient, method: str, path: str, number: object = 0) -> Any:  # noqa: ANN401 - httpx's own answer
    alert = next(iter(TABLES["alerts"].query("customer_id == @ALERT_OF")["alert_id"]))
    address = path.format(
        customer_id=CUSTOMER, alert_id=alert, strategy_id="voucher", incident_id="i-north", subject_request_id=REQUEST,
        name="receipt.json" if "privacy" in path else "customers", subscription_id="of-nobody",
    )  # fmt: skip
    if method != "POST":
        return client.request(method, f"/v1{address}")
    body = BODIES.get(path.rsplit("/", 1)[-1])
    return client.post(f"/v1{address}", json=body, headers={"Idempotency-Key": f"number-{number}-{path}"})


def test_every_route_of_the_document_is_covered_by_the_test_of_roles(program: Open) -> None:
    paths = document(program("admin"))["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(NEEDED)


@pytest.mark.parametrize("role", ACCESS.roles_of("keys"))
def test_a_role_reaches_what_its_actions_name_and_nothing_else(role: str, program: Open) -> None:
    grant, client = ACCESS.grant(role, owner="ann"), program(role, "ann")
    is_mine = ACCESS.roles[role].rows == "all"  # ann answers for neither of the two customers
    for (method, path), actions in NEEDED.items():
        answer = ask(client, method, path, number=role)
        may = all(grant.may(action) for action in actions)  # type: ignore[arg-type]
        is_one = "{customer_id}" in path or "{alert_id}" in path
        # this desk was started without what handles requests, and the webhook is of another key
        has_none = path.startswith("/privacy") or "{subscription_id}" in path
        expected = {403} if not may else {404} if has_none or (is_one and not is_mine) else {200, 409}
        assert answer.status_code in expected, (method, path, answer.text)
        if not may or (is_one and not is_mine):
            assert "secret-" not in answer.text.replace(CUSTOMER, "")


@pytest.mark.parametrize("role", ACCESS.roles_of("keys"))
@pytest.mark.parametrize("name", LISTS)
def test_every_field_of_every_list_is_as_the_role_sees_it_in_pages_and_files(
    role: str, name: str, program: Open
) -> None:
    grant, client = ACCESS.grant(role, owner="ann"), program(role, "ann")
    answer = client.get(f"/v1/{name}?limit=500")
    if answer.status_code == 403:
        return
    rows, table = answer.json()["data"], TABLES[LISTS[name]]
    visible = {column for column in table if grant.sees(column) != "hidden"}
    for row in rows:
        assert visible <= set(row)
        assert {column for column in row if column in table} == visible
    for column in visible:
        if grant.sees(column) == "masked":
            assert all(is_masked(row[column]) for row in rows), column
    if grant.may("export") and LISTS[name] in EXPORTS.values():
        check_files(client, next(key for key, relation in EXPORTS.items() if relation == LISTS[name]), visible)


def check_files(client: TestClient, name: str, visible: set[str]) -> None:
    lines = list(csv.DictReader(io.StringIO(client.get(f"/v1/exports/{name}").text)))
    table = pq.read_table(io.BytesIO(client.get(f"/v1/exports/{name}?format=parquet").content))
    assert (set(lines[0]), set(table.column_names), len(lines)) == (visible, visible, table.num_rows)


def is_masked(value: object) -> bool:
    is_round = isinstance(value, float | int) and (value == 0 or f"{abs(value):e}".startswith("1.000000e"))
    return value is None or value == MASK_OF_TEXT or is_round


COLUMNS = sorted({name for names in ACCESS.fields.values() for name in names} | {"nobody_listed_this", "x; drop"})
FILTERS = some.builds(
    "{}:{}:{}".format,
    some.sampled_from(COLUMNS),
    some.sampled_from(["eq", "lt", "le", "gt", "ge", "in", "null", "notnull", "like"]),
    some.sampled_from(["ann", "north", "secret-002", "50", "-1e300", "2024-10-01", "' or 1=1 --", "nan", "%", ""]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    role=some.sampled_from([*ACCESS.roles_of("keys")]),
    name=some.sampled_from(["customers", "alerts", "plan", "exports/customers", "exports/plan"]),
    filters=some.lists(FILTERS, max_size=2),
    sort=some.none() | some.sampled_from(COLUMNS).flatmap(lambda name: some.sampled_from([name, f"-{name}"])),
    fields=some.none() | some.lists(some.sampled_from(COLUMNS), min_size=1, max_size=3).map(",".join),
)
def test_no_query_leaves_the_rows_and_the_fields_of_the_key(  # noqa: PLR0917 - what hypothesis draws
    role: str, name: str, filters: list[str], sort: str | None, fields: str | None, program: Open
) -> None:
    client, grant = clients(program)[role], ACCESS.grant(role, owner="ann")
    asked = {"filter": filters, "sort": sort, "fields": fields}
    parameters = {key: value for key, value in asked.items() if value}
    answer = client.get(f"/v1/{name}", params=parameters)
    assert answer.status_code in {200, 403, 422}
    used = [*(each.split(":")[0] for each in filters), *([sort.removeprefix("-")] if sort else [])]
    if any(grant.sees(each) != "clear" for each in used):
        assert answer.status_code != 200
    own = set(TABLES["customers"].query("responsible == 'ann'")["customer_id"])
    everybody = set(TABLES["customers"]["customer_id"])
    mine = own if ACCESS.roles[role].rows == "own" else everybody
    hidden = everybody if grant.sees("customer_id") != "clear" else everybody - mine
    assert all(each not in answer.text for each in hidden)
    assert "not for anybody" not in answer.text
    if grant.sees("city") != "clear":
        assert "Town " not in answer.text
    if answer.status_code == 200 and "next" in answer.text and not name.startswith("exports"):
        following = answer.json()["next"]
        next_page = client.get(f"/v1/{name}", params={**parameters, "after": following}) if following else answer
        assert next_page.status_code == 200


CLIENTS: dict[int, dict[str, TestClient]] = {}


def clients(program: Open) -> dict[str, TestClient]:
    if id(program) not in CLIENTS:
        CLIENTS[id(program)] = {role: program(role, "ann") for role in ACCESS.roles_of("keys")}
    return CLIENTS[id(program)]


def test_pages_bring_every_row_once_in_the_order_asked_for(program: Open) -> None:
    client = program("retention_manager")
    for sort in (None, "score", "-money_at_risk,city", "owner", "-previous_as_of"):
        found: list[str] = []
        parameters: dict[str, str | int] | None = {"limit": 7, "fields": "customer_id"}
        parameters |= {"sort": sort} if sort else {}
        while parameters:
            page = client.get("/v1/customers", params=parameters).json()
            found += [row["customer_id"] for row in page["data"]]
            parameters = {**parameters, "after": page["next"]} if page["next"] else None
        assert sorted(found) == sorted(TABLES["customers"]["customer_id"]), sort


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/v1/customers?filter=score:ge:many", 422, "score does not fit its type"),
        ("/v1/customers?filter=score~70", 422, "field:comparison:value"),
        ("/v1/customers?filter=cost:ge:1", 422, "no field cost"),
        ("/v1/customers?filter=nobody_listed_this:eq:1", 403, "may not filter"),
        ("/v1/customers?fields=nobody_listed_this", 403, "does not see"),
        ("/v1/customers?after=bm9uc2Vuc2U", 422, "`next` of a page"),
        ("/v1/customers?limit=0", 422, "limit"),
        ("/v1/customers?offset=50", 422, "offset"),
        ("/v1/nothing", 404, "no such thing"),
        ("/v1/customers/nobody", 404, "no such thing"),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_problem_that_names_what_is_wrong(
    address: str, status: int, words: str, program: Open
) -> None:
    answer = program("admin").get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json()["status"], words in answer.json()["detail"]) == (status, True), answer.text
    assert "many" not in answer.json()["detail"]


def test_a_page_key_of_another_order_is_refused(program: Open) -> None:
    client = program("admin")
    following = client.get("/v1/customers?limit=1&sort=score").json()["next"]
    assert client.get("/v1/customers", params={"after": following, "sort": "-score"}).status_code == 422


def test_without_a_key_or_with_one_that_ended_nothing_is_answered(
    desk: Desk, program: Open, caplog: pytest.LogCaptureFixture
) -> None:
    client = program("admin")
    right = client.headers["Authorization"]
    key_id = right.split("_")[1]
    assert client.get("/v1/customers").status_code == 200
    for wrong in ("", "Bearer x", "Bearer holdfast_x_y", right[:-1] + "!", right.replace("holdfast", "other")):
        assert client.get("/v1/customers", headers={"Authorization": wrong}).status_code == 401, wrong
        assert "refused: no key that holds" in caplog.text
    desk.keys.revoke(key_id, by="test", at=NOW)
    assert client.get("/v1/customers").status_code == 401
    with pytest.raises(ValueError, match="revoked already"):
        desk.keys.revoke(key_id, by="test", at=NOW)
    expired = desk.keys.add(ApiKey(name="old", role="admin"), by="test", at=NOW - timedelta(days=2), days=2)
    assert client.get("/v1/customers", headers={"Authorization": f"Bearer {expired}"}).status_code == 401
    with desk.store.database.read() as connection:
        kept = repr(connection.exec_driver_sql("select * from api_keys").fetchall())
    assert expired.rsplit("_", 1)[-1] not in kept


def test_a_session_of_the_desk_opens_nothing_here(desk: Desk, app: Any) -> None:  # noqa: ANN401
    from serving.desk.visit import SESSION_COOKIE
    from serving.sign_in.users import User

    link = desk.users.add(User(name="somebody", role="admin"), by="test", at=NOW)
    session = desk.users.choose_password(link, "correct horse battery", at=NOW)
    client = TestClient(app, base_url=HOST, cookies={SESSION_COOKIE: session})
    assert client.get("/v1/customers").status_code == 401


def test_what_has_not_changed_is_not_sent_again_until_a_new_publication(desk: Desk, program: Open) -> None:
    client = program("admin")
    first = client.get("/v1/customers")
    again = client.get("/v1/customers", headers={"If-None-Match": first.headers["ETag"]})
    other = client.get("/v1/customers?limit=3", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)
    write_snapshot(desk.snapshot.path, TABLES)
    fresh = client.get("/v1/customers", headers={"If-None-Match": first.headers["ETag"]})
    assert (fresh.status_code, fresh.json()["snapshot"] != first.json()["snapshot"]) == (200, True)
    assert program("agent", "ann").get("/v1/customers").headers["ETag"] != fresh.headers["ETag"]


def test_an_answered_alert_stands_in_the_audit_log_and_a_retry_answers_it_no_second_time(
    desk: Desk, program: Open
) -> None:
    client = program("retention_manager")
    alert = client.get("/v1/alerts?limit=1&filter=customer_id:eq:secret-005").json()["data"][0]
    path, head = f"/v1/alerts/{alert['alert_id']}/acknowledge", {"Idempotency-Key": "answer-0001"}
    first, retry = client.post(path, headers=head), client.post(path, headers=head)
    assert (first.status_code, first.json(), retry.json()) == (
        200,
        {"alert_id": alert["alert_id"], "before": "open", "after": "acknowledged"},
        first.json(),
    )
    assert client.post(path, headers={"Idempotency-Key": "answer-0002"}).status_code == 409
    other = client.post(path.replace("acknowledge", "close"), json={"feedback": "useful"}, headers=head)
    assert (other.status_code, "another request" in other.text) == (409, True)
    assert client.post(path).status_code == 422
    entries = AuditLog(desk.store.database).read(customer_id="secret-005", limit=5)
    assert [(entry["action"], entry["detail"]) for entry in entries] == [("acknowledge", "open -> acknowledged")]
    assert entries[0]["done_by"].startswith("test retention_manager (key ")
    events = [event["event"] for event in desk.store.alerts.read_events([alert["alert_id"]])]
    assert events.count("acknowledged") == 1


def test_a_program_sees_what_is_to_be_done_finishes_steps_and_hands_over(program: Open) -> None:
    client, mine = program("retention_manager"), "filter=customer_id:eq:secret-006"
    alert = client.get(f"/v1/alerts?{mine}").json()["data"][0]["alert_id"]

    def post(what: str, **body: str) -> int:
        head = {"Idempotency-Key": f"task-{what}-{'-'.join(body.values())}"}
        return client.post(f"/v1/alerts/{alert}/{what}", json=body or None, headers=head).status_code

    assert [task["kind"] for task in client.get(f"/v1/tasks?{mine}").json()["data"]] == ["answer"]
    assert post("acknowledge") == 200
    steps = client.get(f"/v1/tasks?{mine}").json()["data"]
    assert [(task["step"], task["owner"], task["is_missed"]) for task in steps] == [("identify", "ann", False)]
    assert [post("step", step="identify"), post("assign", owner="nobody"), post("assign", owner="management")] == [
        200, 422, 200,
    ]  # fmt: skip
    tasks = client.get("/v1/tasks?owner=management&limit=500").json()["data"]
    assert [(task["alert_id"], task["step"]) for task in tasks] == [(alert, "cause")]
    assert program("agent", "ann").get("/v1/customers/secret-006").status_code == 404
    assert program("agent", "management").get("/v1/customers/secret-006").status_code == 200


def test_money_is_read_with_its_parts_and_page_by_page(program: Open) -> None:
    client = program("executive")
    saved = client.get("/v1/money").json()["saved"]
    assert next(row["saved"] for row in saved if row["scope"] == "all") == 1200.0
    first = client.get("/v1/money/periods?limit=2").json()
    rest = client.get(f"/v1/money/periods?limit=2&after={first['next']}").json()
    assert [len(first["data"]), len(rest["data"]), rest["next"]] == [2, 1, None]


def test_an_override_holds_for_the_next_plan_and_is_kept_with_before_and_after(desk: Desk, program: Open) -> None:
    from retention.deciding.plan_overrides import find_holding

    client = program("retention_manager")
    path = "/v1/customers/secret-007/override"
    never = {"kind": "never_contact", "reason": "asked us on the phone"}
    first = client.post(path, json=never, headers={"Idempotency-Key": "override-1"})
    assert first.json() == {"customer_id": "secret-007", "before": "nothing decided", "after": "never contact"}
    chosen = {"kind": "strategy", "strategy_id": "voucher", "reason": "a good customer"}
    second = client.post(path, json=chosen, headers={"Idempotency-Key": "override-2"})
    assert second.json()["before"] == "never contact"
    holding = find_holding(desk.store.plan_overrides.read(), as_of=NOW.date())
    assert holding["secret-007"].strategy_id == "voucher"
    assert client.get("/v1/customers/secret-007").json()["override"]["strategy_id"] == "voucher"
    entry = AuditLog(desk.store.database).read(customer_id="secret-007", limit=9)[1]
    assert (entry["action"], entry["detail"]) == ("override", "never contact -> strategy voucher: a good customer")
    for wrong in ({"kind": "strategy"}, {"kind": "nothing_until", "until": "2020-01-01"}, {"kind": "maybe"}):
        answer = client.post(path, json={**wrong, "reason": "x"}, headers={"Idempotency-Key": "override-3"})
        assert answer.status_code == 422, wrong


def test_a_strategy_is_changed_within_its_bounds_only(desk: Desk, program: Open) -> None:
    client, path = program("retention_manager"), "/v1/strategies/voucher/changes"
    change = {"strength": 1.5, "reason": "the autumn"}
    assert client.post(path, json=change, headers={"Idempotency-Key": "strength-1"}).status_code == 200
    shown = client.get("/v1/strategies").json()["data"]
    assert [(row["strategy_id"], row["strength"], row["text_en"]) for row in shown] == [
        ("voucher", 1.5, "€15 off for 14 days")
    ]
    for wrong in ({"strength": 3}, {"valid_days": 99}, {}):
        body = {**wrong, "reason": "the autumn"}
        assert client.post(path, json=body, headers={"Idempotency-Key": "strength-2"}).status_code == 422
    assert len([each for each in desk.store.strategy_changes.read() if each.reason == "the autumn"]) == 1


def test_a_key_that_asks_too_often_waits(desk: Desk, program: Open) -> None:
    few = desk.policy.desk.api.model_copy(update={"requests_per_minute": 3})
    policy = desk.policy.model_copy(update={"desk": desk.policy.desk.model_copy(update={"api": few})})
    client = program("admin", app=create_app(replace(desk, policy=policy)))
    answers = [client.get("/v1/about") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["Retry-After"] == "21"


def test_a_body_that_is_too_large_is_refused_unread(program: Open) -> None:
    answer = program("admin").post("/v1/strategies/voucher/changes", content=b"x" * (LARGEST_BODY + 1))
    assert (answer.status_code, answer.json()["status"]) == (413, 413)


def test_an_error_shows_a_number_and_nothing_of_the_value_that_caused_it(
    program: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import serving.api.routes.strategies as routes

    def fail(*_: object) -> None:
        raise ValueError("secret-001 is broken")

    monkeypatch.setattr(routes, "list_settings", fail)
    answer = program("admin").get("/v1/strategies")
    assert (answer.status_code, "secret-001" in answer.text, "secret-001" in caplog.text) == (500, False, False)


def test_a_refusal_and_a_look_at_one_customer_stand_in_the_audit_log(desk: Desk, program: Open) -> None:
    program("executive").get("/v1/alerts")
    program("admin").get("/v1/customers/secret-009/scores")
    log = AuditLog(desk.store.database)
    assert [entry["action"] for entry in log.read(customer_id="secret-009", limit=5)] == ["view"]
    assert "GET /v1/alerts" in next(each["detail"] for each in log.read(limit=9) if each["action"] == "denied")
