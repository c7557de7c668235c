"""The desk as a browser meets it: signed in by a link, confined to its role, in two languages, and closed to others."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml
from published_shop import AS_OF, NOW, make_money, make_tables, write_snapshot
from pyotp import TOTP
from starlette.testclient import TestClient

from retention.acting.alerts import alert_id
from retention.deciding.plan import COLUMNS
from retention.measuring.lifecycle import Review
from retention.store.tables import INCIDENTS
from serving.access import MASK_OF_TEXT, read_access
from serving.audit import AuditLog
from serving.desk.app import create_app
from serving.desk.language import FILE, read_texts
from serving.desk.visit import Desk
from serving.sign_in.users import User
from serving.snapshot import Snapshot

ACCESS = read_access()
ALERT_003, ALERT_016 = (alert_id(AS_OF, f"secret-{number}") for number in ("003", "016"))
PASSWORD = "correct horse battery"
PAGES = (
    "/today", "/alerts", "/alerts.csv", "/incidents", "/incidents.csv", "/customers", "/customers.csv", "/movement",
    "/movement.csv", "/customers/secret-001", "/plan", "/plan.csv", "/plan/changes.csv", "/money", "/money.csv",
    "/cohorts", "/cohorts.csv", "/survival.csv", "/delivery", "/strategies", "/experiments", "/experiments.csv",
    "/review", "/health", "/health.csv", "/privacy", "/audit", "/users", "/explanation/secret-001", "/fairness",
)  # fmt: skip
ACTIONS_OF = {
    "/alerts.csv": ("alerts", "export"), "/customers.csv": ("export",), "/customers/secret-001": ("customer",),
    "/experiments": ("strategies",), "/experiments.csv": ("strategies", "export"),
    "/incidents.csv": ("incidents", "export"), "/movement": ("customers",), "/movement.csv": ("export",),
    "/money.csv": ("money", "export"), "/cohorts": ("money",), "/cohorts.csv": ("money", "export"),
    "/survival.csv": ("money", "export"), "/plan.csv": ("plan", "export"), "/plan/changes.csv": ("plan", "export"),
    "/health.csv": ("health", "export"), "/review": ("strategies",), "/fairness": ("health",),
    "/explanation/secret-001": ("customer",),
}  # fmt: skip
HOST = "http://127.0.0.1"
SignIn = Callable[..., TestClient]


@pytest.fixture(scope="module")
def sign_in(desk: Desk) -> SignIn:
    known: set[str] = set()

    def sign_in(role: str, owner: str | None = None) -> TestClient:
        name = f"{role} {owner}"
        client = TestClient(create_app(desk), base_url=HOST)
        if name in known:
            link = desk.users.renew_link(name, by="test", at=NOW)
        else:
            link = desk.users.add(User(name=name, role=role, owner=owner), by="test", at=NOW)
        known.add(name)
        answer = submit(client, client.get(f"/link/{link}").text, f"/link/{link}", password=PASSWORD)
        assert answer.url.path == "/today"
        return client

    return sign_in


@pytest.fixture
def measured(desk: Desk, tmp_path: Path) -> Iterator[None]:
    """Publish what was measured as well."""
    published = desk.snapshot.path
    write_snapshot(tmp_path / "measured.duckdb", make_tables() | make_money())
    desk.snapshot.path = tmp_path / "measured.duckdb"
    yield
    desk.snapshot.path = published


def submit(client: TestClient, page: str, path: str, **fields: str):  # noqa: ANN201 - httpx's own answer
    token = re.search(r'name="csrf" value="(\w+)"', page)
    assert token is not None
    return client.post(path, data={"csrf": token[1], **fields})


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("role", ACCESS.roles_of("people"))
def test_a_role_opens_its_pages_and_no_other_and_sees_only_its_fields(role: str, path: str, sign_in: SignIn) -> None:
    client, grant = sign_in(role, "ann"), ACCESS.grant(role)
    may_open = all(grant.may(action) for action in ACTIONS_OF.get(path, (path.strip("/"),)))
    answer = client.get(path, follow_redirects=False)
    is_mine = ACCESS.roles[role].rows == "all" or "secret-001" not in path
    assert answer.status_code == (200 if may_open and is_mine else 404 if may_open else 403)
    text = answer.text
    assert "not for anybody" not in text
    if grant.sees("customer_id") != "clear" or not may_open:
        assert "secret-" not in text.replace(path, "")
    if grant.sees("city") != "clear":
        assert "Town " not in text
    if grant.sees("value_from_now") != "clear":
        assert re.findall(r"4,3\d\d|1,2[23]\d EUR|9[5-8]\d[.,]", text) == []


def test_groups_are_shown_with_what_scores_mean_for_them(sign_in: SignIn) -> None:
    text = sign_in("dpo").get("/fairness").text
    assert re.findall(r'class="tier (\w+)"', text) == ["low", "high"]
    assert [each in text for each in ("55-64", "-7.5 ± 4.0", "protected", "Region", "38%")] == [True] * 5


def test_what_a_score_means_is_explained_with_the_reasons_that_are_shown(sign_in: SignIn) -> None:
    client = sign_in("dpo")
    reasons = make_tables()["reasons"].query("customer_id == 'secret-001'")
    for language, column in (("en", "text_en"), ("zh", "text_zh")):
        text = client.get(f"/explanation/secret-001?language={language}").text
        assert [each for each in reasons[column] if each not in text] == []


def test_an_agent_sees_their_own_customers_alone_on_every_page(sign_in: SignIn) -> None:
    client = sign_in("agent", "ann")
    own = set(make_tables()["customers"].query("responsible == 'ann'")["customer_id"])
    others = set(make_tables()["customers"]["customer_id"]) - own
    for path in ("/today", "/alerts", "/customers", "/customers?sort=score&tier=high", "/customers?after=[1]"):
        shown = set(re.findall(r"secret-\d+", client.get(path).text))
        assert shown - own == set(), path
    assert [client.get(f"/customers/{each}").status_code for each in sorted(others)[:3]] == [404] * 3
    assert client.get(f"/customers/{min(own)}").status_code == 200


def test_an_export_has_the_rows_of_the_filter_and_the_columns_of_the_role(sign_in: SignIn, desk: Desk) -> None:
    lines = sign_in("analyst").get("/customers.csv?tier=high").text.splitlines()
    frame = make_tables()["customers"].query("tier == 'high'")
    assert len(lines) == len(frame) + 1
    assert {line.split(",")[0] for line in lines[1:]} == {MASK_OF_TEXT}
    entry = next(each for each in AuditLog(desk.store.database).read(limit=5) if each["action"] == "export")
    assert (entry["done_by"], entry["detail"]) == ("analyst None", f"{len(frame)} customers: tier=high")


def test_movement_counts_who_changed_tier_and_lists_them_by_the_value_of_acting(sign_in: SignIn) -> None:
    client, frame = sign_in("retention_manager"), make_tables()["customers"]
    moved = frame.query("week_tier == 'low' and tier == 'high'")
    path = "/movement?days=7&before=low&tier=high&region=north"
    shown = re.findall(r'<a href="/customers/(secret-\d+)"', client.get(path).text)
    of_region = moved.query("region == 'north'").sort_values(["expected_value", "position"], ascending=[False, True])
    assert shown == list(of_region["customer_id"])
    assert f">{len(moved)}</a>" in client.get("/movement").text
    lines = client.get("/movement.csv?days=30").text.splitlines()
    assert len(lines) - 1 == len(frame.query("tier != 'low'"))
    assert [client.get(f"/movement?days={days}").status_code for days in ("30", "5")] == [200, 400]


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x"])
def test_no_cell_of_an_export_becomes_a_formula(value: str) -> None:
    from serving.export import as_cell

    assert (as_cell(value), as_cell(-1.5)) == (f"'{value}", -1.5)


def test_a_list_page_by_page_shows_everybody_once(sign_in: SignIn) -> None:
    import serving.desk.pages.customers as page

    client, size, page.PAGE = sign_in("retention_manager"), page.PAGE, 7
    try:
        for sort in ("money", "score", "value"):
            found: list[str] = []
            path: str | None = f"/customers?sort={sort}"
            while path:
                text = client.get(path).text
                found += re.findall(r'<a href="/customers/(secret-\d+)"', text)
                following = re.search(r'rel="next" href="([^"]+)"', text)
                path = following[1].replace("&amp;", "&") if following else None
            assert sorted(found) == sorted(make_tables()["customers"]["customer_id"])
    finally:
        page.PAGE = size


def test_an_incident_is_taken_on_and_closed_with_feedback(sign_in: SignIn, desk: Desk) -> None:
    shown = {"incident_id": "i-north", "measure": "complaints", "group_name": "region: north", "grade": "orange",
             "cause_en": "60 customers complained.", "cause_zh": "60 名客户投诉。"}  # fmt: skip
    figures = {"count_customers": 60, "count_expected": 5.0, "ratio": 12.0, "p_value": 1e-9, "q_value": 1e-8}
    days = {"as_of": AS_OF, "first_date": AS_OF, "last_date": AS_OF, "raised_at": NOW, "due_at": NOW}
    with desk.store.database.write() as connection:
        row = {
            **shown,
            **figures,
            **days,
            "answer_minutes": 60,
            "is_replay": False,
            "state": "open",
            "owner": "customer service",
        }
        connection.execute(INCIDENTS.insert().values(**row))
    client = sign_in("retention_manager")
    page = client.get("/incidents").text
    assert "60 customers complained" in page
    given = {"owner": "management", "feedback": "useful"}
    answers = [
        submit(client, page, f"/incidents/i-north/{word}", **given) for word in ("hand_over", "acknowledge", "close")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert submit(client, page, "/incidents/i-north/close", feedback="useful").status_code == 409
    assert submit(client, page, "/incidents/unknown/close", feedback="useful").status_code == 404
    assert "Yes, useful" in client.get("/incidents").text
    entries = [each for each in AuditLog(desk.store.database).read(limit=9) if each["subject"] == "i-north"]
    assert [each["detail"] for each in entries] == [
        "acknowledged -> closed, useful", "open -> acknowledged", "open -> handed over to management",
    ]  # fmt: skip


def test_an_answer_to_an_alert_is_written_audited_and_shown(sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("agent", "bob")
    page = client.get("/alerts").text
    alert = re.search(r"/alerts/(\w+)/acknowledge", page)
    assert alert is not None
    assert submit(client, page, f"/alerts/{alert[1]}/acknowledge").status_code == 200
    assert submit(client, page, f"/alerts/{alert[1]}/acknowledge").status_code == 409
    closed = {"feedback": "already_known", "note": "is on holiday"}
    answer = submit(client, page, f"/alerts/{alert[1]}/close", back="//evil.example", **closed)
    assert answer.url.path == "/today"  # never to another site
    assert "Already known" in client.get("/alerts?state=closed").text
    entries = [each for each in AuditLog(desk.store.database).read(limit=9) if each["subject"] == alert[1]]
    assert [(each["action"], each["done_by"], each["detail"]) for each in entries] == [
        ("close", "agent bob", "acknowledged -> closed, already_known"),
        ("acknowledge", "agent bob", "open -> acknowledged"),
    ]


def test_a_customer_changes_hands_with_the_hand_over_and_not_with_the_next_publication(sign_in: SignIn) -> None:
    manager, path = sign_in("retention_manager"), "/customers/secret-016"
    assert [sign_in("agent", name).get(path).status_code for name in ("bob", "customer service")] == [200, 404]
    submit(manager, manager.get(path).text, f"/alerts/{ALERT_016}/hand_over", owner="customer service")
    bob, service = sign_in("agent", "bob"), sign_in("agent", "customer service")
    assert [client.get(path).status_code for client in (bob, service)] == [404, 200]
    assert ["secret-016" in client.get("/alerts").text for client in (bob, service)] == [False, True]
    assert "customer service" in manager.get("/alerts?owner=customer+service&level=medium").text
    submit(service, service.get(path).text, f"/alerts/{ALERT_016}/close", feedback="wrong")
    assert [client.get(path).status_code for client in (bob, service)] == [200, 404]


def test_an_alert_shows_its_ladder_and_takes_the_steps_of_its_response(sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("retention_manager")
    page = client.get("/alerts?region=north").text
    assert "Rung 2: customer service is notified" in page
    assert "secret-002" not in page  # of the south
    submit(client, page, f"/alerts/{ALERT_003}/acknowledge")
    page = client.get("/alerts?state=acknowledged").text
    assert "Step: identify the problem" in page
    assert submit(client, page, f"/alerts/{ALERT_003}/step", step="identify").status_code == 200
    assert [event["deadline"] for event in desk.store.alerts.read_events([ALERT_003])][:1] == ["identify"]
    assert "时限与步骤" in client.get("/alerts?language=zh").text
    client.get("/alerts?language=en")
    assert len(client.get("/alerts.csv?value_tier=gold").text.splitlines()) - 1 == client.get(
        "/alerts?value_tier=gold"
    ).text.count('class="state"')


def test_somebody_else_s_alert_cannot_be_answered(sign_in: SignIn) -> None:
    page = sign_in("admin").get("/alerts?owner=bob").text
    alert = re.search(r"/alerts/(\w+)/close", page)
    assert alert is not None
    ann = sign_in("agent", "ann")
    assert submit(ann, ann.get("/alerts").text, f"/alerts/{alert[1]}/close", feedback="useful").status_code == 404
    auditor = sign_in("auditor")
    answer = submit(auditor, auditor.get("/alerts").text, f"/alerts/{alert[1]}/close", feedback="useful")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/customers?sort=none",
        "/customers?after=[1,2,3]",
        "/customers?after=x",
        "/alerts?state=x",
        "/audit?before=x",
    ],
)
def test_an_address_that_means_nothing_is_refused_in_words(path: str, sign_in: SignIn) -> None:
    answer = sign_in("admin").get(path)
    assert (answer.status_code, "cannot be used" in answer.text) == (400, True)


def test_a_masked_field_cannot_be_filtered_or_sorted_by(sign_in: SignIn) -> None:
    agent, auditor = sign_in("agent", "ann"), sign_in("auditor")
    assert agent.get("/customers?sort=value").status_code == 403
    assert auditor.get("/customers?region=north").status_code == 403


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ({"Host": "evil.example"}, "GET", 403),
        ({"Origin": "http://evil.example"}, "POST", 403),
        ({"Sec-Fetch-Site": "cross-site"}, "POST", 403),
        ({}, "POST", 303),
    ],
)
def test_other_sites_and_forms_without_a_token_change_nothing(
    headers: dict[str, str], method: str, status: int, sign_in: SignIn
) -> None:
    client = sign_in("admin")
    answer = client.request(method, "/users", headers=headers, data={"name": "mallory"}, follow_redirects=False)
    assert answer.status_code == status
    assert "mallory" not in client.get("/users").text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2faccess.yaml", "/static//etc/passwd",
        "/static/", "/customers/../../etc/passwd", "/customers/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/customers/secret-001%00",
    ],
)  # fmt: skip
def test_a_path_leads_to_no_file_but_the_two_that_pages_need(path: str, sign_in: SignIn) -> None:
    answer = sign_in("admin").get(path)
    assert (answer.status_code, "root:" in answer.text, "import" in answer.text) == (404, False, False)


def test_what_other_sites_try_is_logged_without_the_address(sign_in: SignIn, caplog: pytest.LogCaptureFixture) -> None:
    client = sign_in("admin")
    refused = client.post("/customers/secret-001", headers={"Origin": "https://evil.example"})
    assert (refused.status_code, "refused a POST" in caplog.text, "secret-" in caplog.text) == (403, True, False)


def test_nothing_opens_without_a_session_or_after_it_has_ended(desk: Desk, sign_in: SignIn) -> None:
    stranger = TestClient(create_app(desk), base_url=HOST)
    for path in PAGES:
        assert stranger.get(path, follow_redirects=False).headers["location"] == "/sign-in"
    client = sign_in("admin")
    page = client.get("/today").text
    kept = dict(client.cookies)
    assert submit(client, page, "/sign-out").url.path == "/sign-in"
    stranger.cookies.update(kept)
    assert stranger.get("/today", follow_redirects=False).status_code == 303


def test_cookies_and_answers_are_closed_to_scripts_other_sites_and_caches(desk: Desk, sign_in: SignIn) -> None:
    client = TestClient(create_app(desk), base_url=HOST)
    link = desk.users.renew_link(sign_in("executive") and "executive None", by="test", at=NOW)
    page = client.get(f"/link/{link}").text
    token = re.search(r'name="csrf" value="(\w+)"', page)
    assert token is not None
    answer = client.post(f"/link/{link}", data={"csrf": token[1], "password": PASSWORD}, follow_redirects=False)
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("holdfast_session"))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    headers = client.get("/today").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["x-frame-options"]) == ("no-store", "SAMEORIGIN")


@pytest.mark.parametrize(
    "path", ["/today", "/alerts", "/customers", "/customers/secret-001", "/plan", "/audit", "/users"]
)
def test_every_page_is_there_in_both_languages_and_keeps_the_choice(path: str, sign_in: SignIn) -> None:
    client = sign_in("admin")
    english, chinese, kept = client.get(path).text, client.get(f"{path}?language=zh").text, client.get(path).text
    assert ('lang="en"' in english, 'lang="zh-CN"' in chinese, "退出" in kept) == (True, True, True)
    client.get(f"{path}?language=en")


def test_every_text_is_there_in_both_languages_with_the_same_blanks() -> None:
    for key, texts in read_texts().items():
        blanks = {language: sorted(re.findall(r"{(\w+)}", text)) for language, text in texts.items()}
        assert blanks["en"] == blanks["zh"], key


def test_no_text_is_declared_twice() -> None:
    nodes = [yaml.compose(FILE.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        keys = [key.value for key, _ in node.value]
        assert sorted(set(keys)) == sorted(keys)
        nodes += [below for _, below in node.value if isinstance(below, yaml.MappingNode)]


def test_each_page_names_the_churn_definition_and_the_age_of_its_data(sign_in: SignIn) -> None:
    client = sign_in("retention_manager")
    for path in ("/today", "/alerts", "/customers", "/customers/secret-001", "/plan"):
        text = client.get(path).text
        assert "no purchase within 30 days" in text, path
        assert f"As of {AS_OF}, published 2 h ago" in text, path


def test_an_error_shows_a_number_and_nothing_of_the_value_that_caused_it(
    desk: Desk, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from serving.desk.pages import plan

    def fail(*_: object) -> None:
        raise ValueError("secret-001 is broken")

    admin = sign_in("admin")
    client = TestClient(create_app(desk), base_url=HOST, raise_server_exceptions=False)
    client.cookies.update(dict(admin.cookies))
    monkeypatch.setattr(plan, "_list_strategies", fail)
    answer = client.get("/plan")
    assert (answer.status_code, "secret-001" in answer.text, "secret-001" in caplog.text) == (500, False, False)
    assert re.search(r"this number: \S{8}", answer.text)


def test_before_the_first_run_the_pages_explain_what_is_missing(desk: Desk, tmp_path: Path) -> None:
    from dataclasses import replace

    empty = replace(desk, snapshot=Snapshot(path=tmp_path / "none.duckdb"))
    client = TestClient(create_app(empty), base_url=HOST)
    link = empty.users.add(User(name="first", role="admin"), by="test", at=NOW)
    answer = submit(client, client.get(f"/link/{link}").text, f"/link/{link}", password=PASSWORD)
    assert (answer.status_code, "Nothing is published yet" in answer.text) == (503, True)


def test_a_publication_of_an_earlier_release_is_shown_without_what_it_lacks(sign_in: SignIn, desk: Desk) -> None:
    tables = make_tables()
    lacking = tables["customers"].drop(columns=["region", "decision_reason"])
    before = tables["plans"].drop(columns="kept_share")
    write_snapshot(desk.snapshot.path, tables | {"customers": lacking, "plans": before})
    client = sign_in("retention_manager")
    answers = {
        path: client.get(path) for path in ("/today", "/alerts", "/customers", "/movement", "/plan", "/delivery")
    }
    write_snapshot(desk.snapshot.path, tables)
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert 'name="region"' not in answers["/customers"].text
    notes = ["counting 25" in text for text in (answers["/plan"].text, client.get("/plan").text)]
    assert notes == [False, True]


def test_old_figures_are_marked_as_old(desk: Desk, sign_in: SignIn) -> None:
    from dataclasses import replace

    admin = sign_in("admin")
    with_a_long_session = desk.policy.desk.model_copy(
        update={"sign_in": desk.policy.desk.sign_in.model_copy(update={"session_hours": 99, "idle_minutes": 9999})}
    )
    later = replace(
        desk,
        now=lambda: NOW + timedelta(hours=8),
        policy=desk.policy.model_copy(update={"desk": with_a_long_session.model_copy(update={"stale_after_hours": 9})}),
    )
    client = TestClient(create_app(later), base_url=HOST)
    client.cookies.update(dict(admin.cookies))
    assert "These figures are old" in client.get("/today").text
    assert "These figures are old" not in admin.get("/today").text


def test_a_swapped_snapshot_is_served_without_a_dropped_request(desk: Desk, sign_in: SignIn) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = sign_in("admin")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(client.get, "/customers") for _ in range(12)]
        write_snapshot(desk.snapshot.path, make_tables(count=12))
        answers += [pool.submit(client.get, "/customers") for _ in range(12)]
        codes = {each.result().status_code for each in answers}
    counts = [pd.unique(re.findall(r"secret-\d+", client.get("/customers").text)).size]
    write_snapshot(desk.snapshot.path, make_tables())
    assert (codes, counts) == ({200}, [12])


def test_a_key_is_made_and_shown_once_and_revoked_on_the_accounts_page(sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("admin")
    made = submit(client, client.get("/users").text, "/keys", name="warehouse", role="analyst", days="30")
    key = re.search(r"holdfast_\w{12}_[\w-]+", made.text)
    assert key is not None
    assert key[0] not in client.get("/users").text
    program = TestClient(create_app(desk), base_url=HOST, headers={"Authorization": f"Bearer {key[0]}"})
    assert program.get("/v1/customers").status_code == 200
    submit(client, client.get("/users").text, f"/keys/{key[0].split('_')[1]}/revoke")
    assert (program.get("/v1/customers").status_code, "revoked" in client.get("/users").text) == (401, True)
    too_long = submit(client, client.get("/users").text, "/keys", name="warehouse", role="analyst", days="9999")
    assert too_long.status_code == 400


def test_a_customer_shows_the_revenue_to_expect_in_each_span_with_its_interval(sign_in: SignIn) -> None:
    page = sign_in("retention_manager").get("/customers/secret-001").text
    shown = re.findall(
        r"<dt>within (\d+) months</dt><dd>(.*?) <small>likely (.*?), between (.*?) and (.*?), (.*?) orders<", page
    )
    assert [(months, orders) for months, *_, orders in shown] == [("3", "7.5"), ("6", "15.0")]
    assert [re.sub(r"[^\d.]", "", figure) for figure in shown[1][1:5]] == ["186", "20", "7", "348"]
    assert "often bought with ham" in page
    masked = sign_in("agent", "bob").get("/customers/secret-001").text
    assert "186" not in masked.split("Revenue to expect")[1].split("</section>")[0]


def test_a_decision_about_a_customer_is_made_on_their_page_and_logged_before_and_after(
    sign_in: SignIn, desk: Desk
) -> None:
    client, path = sign_in("retention_manager"), "/customers/secret-004"
    made = submit(
        client, client.get(path).text, "/override/secret-004",
        kind="nothing_until", until="2024-11-01", reason="moving", back=path,
    )  # fmt: skip
    assert (made.url.path, "nothing until a day (moving)" in made.text) == (path, True)
    assert desk.store.plan_overrides.read("secret-004")[0].until == date(2024, 11, 1)
    submit(client, client.get(path).text, "/override/secret-004", kind="lifted", reason="has moved", back=path)
    entry = AuditLog(desk.store.database).read(customer_id="secret-004", limit=2)[1]
    assert entry["detail"] == "nothing until 2024-11-01 -> lifted: has moved"
    agent = sign_in("agent", "ann")
    assert (
        submit(agent, agent.get("/alerts").text, "/override/secret-002", kind="lifted", reason="x").status_code == 403
    )


def test_delivery_shows_counts_and_proof_of_the_rows_of_the_role(sign_in: SignIn, desk: Desk) -> None:
    from sqlalchemy import insert

    from retention.store.tables import OUTBOX

    common = {
        "as_of": AS_OF, "strategy_id": "voucher", "occasion": "risk", "version": "1", "purpose": "marketing",
        "channel": "email", "rank": 1, "body": "{}", "is_replay": False, "useful_until": AS_OF, "attempts": 1,
        "updated_at": NOW,
    }  # fmt: skip
    messages = [
        common | {"idempotency_key": "k1", "customer_id": "secret-001", "state": "sent", "receipt": "250 queued"},
        common | {"idempotency_key": "k2", "customer_id": "secret-002", "state": "unknown", "trouble": "no answer"},
    ]
    with desk.store.database.write() as connection:
        for message in messages:
            connection.execute(insert(OUTBOX).values(**message))
    client = sign_in("retention_manager")
    assert "250 queued" in client.get("/delivery?state=sent").text
    assert client.get("/delivery.csv?state=unknown").text.splitlines()[1].startswith("2024-10-01,secret-002,voucher")
    assert "secret-" not in sign_in("executive").get("/delivery?state=sent").text
    assert client.get("/delivery?state=lost").status_code == 400


@pytest.mark.parametrize(
    ("customer", "mood"), [("005", "nothing negative"), ("001", "partly negative"), ("003", "mostly negative")]
)
def test_a_customer_s_texts_are_shown_with_their_sentiment(customer: str, mood: str, sign_in: SignIn) -> None:
    page = sign_in("retention_manager").get(f"/customers/secret-{customer}").text
    assert "Service and opinions" in page
    assert [each for each in ("nothing negative", "partly negative", "mostly negative") if each in page] == [mood]


def test_delivery_is_counted_by_the_filters_of_the_address(sign_in: SignIn) -> None:
    client = sign_in("retention_manager")

    def count(address: str) -> int:
        return client.get(f"/delivery.csv?state=sent&{address}").text.count("secret-")

    assert count("") == count("strategy_id=voucher") == count("region=north") + count("region=south") > 0
    assert (count("strategy_id=another"), count("value_tier=gold")) == (0, 0)
    assert client.get("/delivery?period=decade").status_code == 400


def test_strategies_are_counted_by_the_filters_of_the_address(sign_in: SignIn) -> None:
    client = sign_in("retention_manager")

    def covered(address: str) -> int:
        found = re.search(
            r'href="/customers\?strategy_id=voucher">(\d+)</a>', client.get(f"/strategies?{address}").text
        )
        return int(found[1]) if found else 0

    assert covered("") == covered("region=north") + covered("region=south") > covered("region=north") > 0
    assert "A voucher" not in client.get("/strategies?strategy_id=another").text.split("</form>")[-1]


def test_a_strategy_is_paused_on_its_page_and_not_set_out_of_its_bounds(sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("retention_manager")
    page = client.get("/strategies").text
    assert "too few customers for a verdict" in page
    done = submit(client, page, "/strategies/voucher", change="pause", reason="summer break")
    assert (done.url.path, "paused" in done.text) == ("/strategies", True)
    submit(client, page, "/strategies/voucher", change="resume", reason="over")
    outside = submit(client, page, "/strategies/voucher", change="strength", strength="9", reason="more")
    assert outside.status_code == 400
    assert [change.is_paused for change in desk.store.strategy_changes.read()] == [True, False]
    analyst = sign_in("analyst")
    refused = submit(analyst, str(analyst.get("/strategies").text), "/strategies/voucher", change="pause", reason="x")
    assert refused.status_code == 403


def test_experiments_show_what_is_missing_for_a_verdict_and_what_blocks_one(sign_in: SignIn) -> None:
    client = sign_in("retention_manager")
    text = client.get("/experiments?strategy_id=voucher").text
    shown = (
        "2025-04-01",
        "6,155 / 601",
        "held-out customers were contacted",
        "2024-09-01",
        "3.4",
        "short",
        "Reached by our own campaigns",
        "25",
        "612",
    )
    assert [part for part in shown if part not in text] == []
    assert "预计可下结论日期" in client.get("/experiments?language=zh").text
    assert client.get("/experiments?strategy_id=nobody").status_code == 200


def test_health_shows_the_model_next_to_its_baselines_and_the_gate_that_is_closed(sign_in: SignIn) -> None:
    text = sign_in("data_engineer").get("/health").text
    assert all(figure in text for figure in ("0.870", "0.789", "88.1", "87.6", "recency_days is never null"))
    assert "漂移" in sign_in("data_engineer").get("/health?language=zh").text


def test_tags_are_named_in_the_language_of_the_page(sign_in: SignIn) -> None:
    client = sign_in("admin")
    english, chinese = (client.get(f"/customers/secret-001?language={each}").text for each in ("en", "zh"))
    client.get("/today?language=en")
    assert ("large baskets, gone silent" in english, "大额购物、gone silent" in chinese) == (True, True)


def test_the_plan_is_counted_and_exported_by_the_filters_of_the_address(sign_in: SignIn) -> None:
    client, path = sign_in("retention_manager"), "?region=north&value_tier=gold"
    of_group = make_tables()["customers"].query("region == 'north' and value_tier == 'gold'")["customer_id"]
    expected = set(of_group) & set(make_tables()["plans"]["customer_id"])
    lines = client.get(f"/plan.csv{path}").text.splitlines()
    place = lines[0].split(",").index("customer_id")
    assert {line.split(",")[place] for line in lines[1:]} == expected
    assert f"{len(expected)} customers" in client.get(f"/plan{path}").text
    assert "97" in client.get("/health.csv?table=reconciliation").text
    assert client.get("/health.csv?table=secrets").status_code == 400


def test_a_second_factor_is_set_up_on_ones_own_page(sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("analyst", "second")
    begun = submit(client, client.get("/account").text, "/account/second-factor")
    secret = re.search(r"<code>(\w{32})</code>", begun.text)
    assert secret is not None
    wrong = submit(client, begun.text, "/account/second-factor/confirm", code="000000")
    assert (wrong.status_code, secret[1] in wrong.text) == (400, False)
    done = submit(client, begun.text, "/account/second-factor/confirm", code=TOTP(secret[1]).at(NOW))
    assert "needs a code" in done.text
    fresh = TestClient(create_app(desk), base_url=HOST)
    alone = submit(fresh, fresh.get("/sign-in").text, "/sign-in", name="analyst second", password=PASSWORD)
    assert alone.status_code == 401


def test_the_review_shows_what_moved_by_which_figures_in_both_languages(sign_in: SignIn, desk: Desk) -> None:
    moved = Review(
        strategy_id="voucher", as_of=AS_OF, state_before="live", state="retired", reason="harms", suggestion="change",
        verdict="harms", difference=-0.034, difference_low=-0.06, difference_high=-0.01, needs=0.0123, n_treated=900,
        n_holdout=100, decided_at=NOW,
    )  # fmt: skip
    desk.store.strategy_reviews.record([moved])
    client = sign_in("retention_manager")
    page = client.get("/review").text
    assert [part in page for part in ("live → retired", "left more often", "-3.4 points", "1.23 points")] == [True] * 4
    shown = ("412", "of 61", "2,100", "37 of 40 answers called them wrong")
    assert [words for words in shown if words not in page] == []
    assert "启用 → 停用" in client.get("/review?language=zh").text


@pytest.mark.usefixtures("measured")
def test_money_shows_what_was_saved_with_its_interval_the_rest_and_marked_assumptions(sign_in: SignIn) -> None:
    client = sign_in("executive")
    english, chinese = client.get("/money?language=en").text, client.get("/money?language=zh").text
    by_day = sign_in("analyst").get("/money.csv?period=day").text.splitlines()
    of_one = client.get("/money?strategy_id=voucher&language=en").text
    expected = ("1,200", "-150", "2,550", "Rest", "assumption", "6.7 %", "24.0 % in the industry", "did not come back")
    assert [words for words in expected if words not in english] == []
    coming = english.split("forecast for the month from")[1].split("</tr>")[0]
    assert [each for each in ("12.3 %", "10.0 % to 15.0 %", "24.0 % in the industry") if each not in coming] == []
    stated = ("Why customers left", "100%", "nothing stated", "out of stock", "没人接")
    assert [words for words in stated if words not in english] == []
    assert ("剩余" in chinese, "流失原因" in chinese) == (True, True)
    assert (len(by_day), "27.0" in by_day[1], ">415<" in of_one) == (2, True, True)


@pytest.mark.usefixtures("measured")
def test_how_long_customers_stay_shows_what_is_known_and_says_what_is_too_few(sign_in: SignIn) -> None:
    client = sign_in("retention_manager")
    page, chinese = (client.get(f"/cohorts?language={language}").text for language in ("en", "zh"))
    assert "72%" in page
    assert "63% to 79%" in page
    assert "2024-07 * · 40" in page  # the history begins with it
    assert "31 / 40, 62% to 88%" in page
    assert page.count("too few") == 3  # in the picture and the table: five of seven customers are no share
    assert "按加入月份的留存" in chinese
    north = client.get("/cohorts?language=en&group_name=region%3A+north").text
    assert ">Region: north</option>" in north
    assert "Fewer than 10 customers" in north
    rows = client.get("/cohorts.csv?group_name=region%3A+north").text.strip().splitlines()
    assert rows[1].startswith("region: north,2024-08-01,0,False,25,24,0.96")
    assert len(rows) == 2


def test_a_plan_shows_what_differs_from_the_one_before_and_why(sign_in: SignIn) -> None:
    page = sign_in("retention_manager").get("/plan?language=en").text.split('id="changes"')[1]
    assert "What differs from the plan of 2024-09-28" in page
    assert "1 customers come in, 1 go out, 1 get another strategy, 0 stay. Cost 8.50 EUR → 3 EUR" in page
    assert "are no candidates any more" in page
    assert "stays untreated, so that the effect can be measured" in page  # why who comes in was not contacted before
    masked = sign_in("executive").get("/plan").text.split('id="changes"')[1]
    assert "secret-" not in masked


def test_a_plan_that_waits_is_approved_by_one_click_of_who_may_and_stands_in_the_audit_log(
    sign_in: SignIn, desk: Desk
) -> None:
    plan = make_tables()["plans"].head(4).reindex(columns=list(COLUMNS))
    plan["planned_strategy_id"] = plan["strategy_id"]
    desk.store.plans.commit(AS_OF, plan, strategies=desk.strategies, at=NOW, needs_approval=True)
    executive, manager = sign_in("executive"), sign_in("retention_manager")
    seen, page = executive.get("/plan?language=en").text, manager.get("/plan?language=en").text
    assert ("none of its 4 messages leaves" in seen, "/plan/approve" in seen) == (True, False)
    assert submit(executive, seen, "/plan/approve", as_of=str(AS_OF)).status_code == 403
    assert manager.post("/plan/approve", data={"as_of": str(AS_OF)}, follow_redirects=False).status_code == 303
    assert desk.store.plan_approvals.count_waiting() == {AS_OF: 4}  # a form without the token did nothing
    done = submit(manager, page, "/plan/approve", as_of=str(AS_OF))
    assert (done.url.path, "Approved by retention_manager None on" in done.text) == ("/plan", True)
    assert submit(manager, page, "/plan/refuse", as_of=str(AS_OF)).status_code == 409
    assert submit(manager, page, "/plan/approve", as_of="yesterday").status_code == 400
    entry = next(each for each in desk.audit.read(limit=9) if each["action"] == "approve")
    assert (entry["done_by"], entry["subject"]) == ("retention_manager None", str(AS_OF))
    assert entry["detail"].startswith("approved: 4 messages, plan ")
