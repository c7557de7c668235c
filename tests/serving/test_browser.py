"""The desk in a real browser: ten tasks per role, what a role must not see, and every view by axe.

Needs Debian's chromium: `apt-get install chromium fonts-noto-cjk`, which .ci/run does.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from published_shop import AS_OF, NOW, make_money, make_tables, write_snapshot
from sqlalchemy import insert

from retention.measuring.lifecycle import Review
from retention.store.tables import INCIDENTS, OUTBOX
from serving.access import read_access
from serving.desk.app import create_app
from serving.desk.visit import SESSION_COOKIE, Desk
from serving.sign_in.users import User

CHROMIUM = Path("/usr/bin/chromium")
HAS_TO_RUN = os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() or HAS_TO_RUN), reason=f"{CHROMIUM} is not installed: apt-get install chromium"
)
ACCESS = read_access()
OWNER = "ann"
PASSWORD = "correct horse battery"
SERIOUS = {"serious", "critical"}
VIEWS = (
    "/today", "/alerts", "/incidents", "/customers", "/movement?days=7", "/customers/secret-001", "/plan", "/money",
    "/cohorts", "/delivery?state=sent", "/strategies", "/experiments?strategy_id=voucher", "/review", "/health",
    "/fairness", "/privacy", "/audit", "/users", "/account", "/sign-in",
)  # fmt: skip
# what axe finds, without the rest that it would have to describe and send
FIND_FAULTS = "options => axe.run(document, {resultTypes: ['violations'], ...options}).then(found => found.violations)"
PHONE = {"width": 375, "height": 720}
Task = Callable[["Screen"], None]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A desk on loopback."""

    desk: Desk
    address: str


@dataclass(kw_only=True)
class Screen:
    """A signed-in person's browser, and what its console complained of."""

    page: Page
    served: Served
    role: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.served.address}{path}")
        assert self.page.url == f"{self.served.address}{path}"
        return self.page

    def read(self) -> str:
        return self.page.locator("main").inner_text()

    def press(self, name: str, *, within: Any = None) -> None:  # noqa: ANN401 - a locator or a page
        (within or self.page).get_by_role("button", name=name, exact=True).click()


@pytest.fixture(scope="module")
def served(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    import uvicorn

    desk.snapshot.path = tmp_path_factory.mktemp("whole") / "holdfast.duckdb"
    write_snapshot(desk.snapshot.path, make_tables() | make_money())
    fill(desk)
    server = uvicorn.Server(uvicorn.Config(create_app(desk), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the desk did not start"
    yield Served(desk=desk, address=f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    server.should_exit = True
    thread.join(timeout=10)


def fill(desk: Desk) -> None:
    """Write what people and channels did, so that no view is empty."""
    message = {
        "as_of": AS_OF, "strategy_id": "voucher", "occasion": "risk", "version": "1", "purpose": "marketing",
        "channel": "email", "rank": 1, "body": "{}", "is_replay": False, "useful_until": AS_OF, "attempts": 1,
        "updated_at": NOW, "customer_id": "secret-001", "state": "sent", "receipt": "250 queued",
    }  # fmt: skip
    incident = {
        "incident_id": "i-north", "measure": "complaints", "group_name": "region: north", "grade": "orange",
        "cause_en": "60 customers complained.", "cause_zh": "60 名客户投诉。", "as_of": AS_OF, "first_date": AS_OF,
        "last_date": AS_OF, "raised_at": NOW, "due_at": NOW + timedelta(hours=1), "count_customers": 60,
        "count_expected": 5.0, "ratio": 12.0, "p_value": 1e-9, "q_value": 1e-8, "answer_minutes": 60,
        "is_replay": False, "state": "open", "owner": "management",
    }  # fmt: skip
    with desk.store.database.write() as connection:
        connection.execute(insert(OUTBOX), [message | {"idempotency_key": "k1"}])
        connection.execute(insert(INCIDENTS), [incident])
    moved = Review(
        strategy_id="voucher", as_of=AS_OF, state_before="live", state="watch", reason="harms", suggestion="change",
        verdict="harms", difference=-0.034, difference_low=-0.06, difference_high=-0.01, needs=0.0123, n_treated=900,
        n_holdout=100, decided_at=NOW,
    )  # fmt: skip
    desk.store.strategy_reviews.record([moved])


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    assert CHROMIUM.exists(), f"{CHROMIUM} is not installed, and CI must not skip it: apt-get install chromium"
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking"]
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield started
    started.close()


@pytest.fixture(scope="module")
def sit_down(browser: Browser, served: Served) -> Iterator[Callable[[str], Screen]]:
    """Return a person's screen, one per role for the whole module."""
    screens: dict[str, Screen] = {}
    contexts: list[BrowserContext] = []

    def of(role: str) -> Screen:
        if role not in screens:
            contexts.append(browser.new_context(base_url=served.address))
            if role in ACCESS.roles:
                cookie = {"name": SESSION_COOKIE, "value": begin_session(served.desk, role), "url": served.address}
                contexts[-1].add_cookies([cookie])  # type: ignore[list-item]
            screens[role] = watch(Screen(page=contexts[-1].new_page(), served=served, role=role))
        return screens[role]

    yield of
    for context in contexts:
        context.close()


def begin_session(desk: Desk, role: str) -> str:
    link = desk.users.add(User(name=f"browser {role}", role=role, owner=OWNER), by="test", at=NOW)
    return desk.users.choose_password(link, PASSWORD, at=NOW)


def watch(screen: Screen) -> Screen:
    screen.page.set_default_timeout(30_000)
    screen.page.on("console", lambda message: message.type == "error" and screen.errors.append(message.text))
    screen.page.on("pageerror", lambda error: screen.errors.append(str(error)))
    return screen


# --- the tasks


def opens_who_has_the_most_to_lose(screen: Screen) -> None:
    screen.open("/today").locator("table").first.get_by_role("link").first.click()
    assert "/customers/secret-" in screen.page.url
    assert "no order for 34 days" in screen.read()


def reads_what_is_at_risk(screen: Screen) -> None:
    screen.open("/today")
    assert re.search(r"Customers with an alert\s+\d+", screen.read())


def reads_what_the_figures_rest_on(screen: Screen) -> None:
    screen.open("/customers")
    assert "no purchase within 30 days" in screen.read()


def filters_the_list(screen: Screen) -> None:
    page = screen.open("/customers")
    page.locator("select[name=tier]").select_option("high")
    screen.press("Show")
    assert "tier=high" in page.url
    assert {text.strip() for text in page.locator("td[data-label=Tier]").all_inner_texts()} == {"high"}


def sorts_the_list_by_score(screen: Screen) -> None:
    page = screen.open("/customers")
    page.get_by_label("Sort").select_option("score")
    screen.press("Show")
    scores = [int(text) for text in page.locator("td[data-label=Score]").all_inner_texts() if text.isdecimal()]
    assert scores == sorted(scores, reverse=True)


def sees_why_somebody_is_not_contacted(screen: Screen) -> None:
    screen.open("/customers/secret-010")
    assert "stays untreated, so that the effect can be measured" in screen.read()


def exports_the_list(screen: Screen) -> None:
    page = screen.open("/customers?tier=high")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == page.locator("tbody tr").count() + 1


def takes_an_alert_on(screen: Screen) -> None:
    answer_first_alert(screen, "I take it on")
    screen.open("/alerts?state=acknowledged")
    assert f"taken on by browser {screen.role}" in screen.read()


def puts_an_alert_off(screen: Screen) -> None:
    answer_first_alert(screen, "Put off")
    screen.open("/alerts?state=snoozed")
    assert "put off until 2024-10-02" in screen.read()


def closes_an_alert_with_feedback(screen: Screen) -> None:
    answer_first_alert(screen, "Close")
    screen.open("/alerts?state=closed")
    assert f"closed by browser {screen.role}: Yes, useful" in screen.read()


def hands_an_alert_over(screen: Screen) -> None:
    answer_first_alert(screen, "Hand over to")


def answer_first_alert(screen: Screen, button: str) -> None:
    answers = screen.open("/alerts").locator("details.answer:not(.ladder)").first
    answers.locator("summary").click()
    screen.press(button, within=answers)
    screen.page.wait_for_url("**/alerts**")


def filters_alerts_by_level(screen: Screen) -> None:
    page = screen.open("/alerts")
    page.get_by_label("Urgency").select_option("high")
    screen.press("Show")
    assert "level=high" in page.url


def reads_incidents(screen: Screen) -> None:
    screen.open("/incidents")
    assert "60 customers complained" in screen.read()


def decides_otherwise_about_a_customer(screen: Screen) -> None:
    page = screen.open("/customers/secret-006")
    page.get_by_text("Decide otherwise").click()
    page.get_by_label("Why (no names or addresses)").fill("asked us to")
    screen.press("Decide")
    assert "never contact (asked us to)" in screen.read()


def reads_the_plan_and_what_limits_it(screen: Screen) -> None:
    screen.open("/plan")
    assert "Another 1,000 would bring 400." in screen.read()


def opens_the_rows_of_a_strategy(screen: Screen) -> None:
    screen.open("/plan").get_by_role("link", name="A voucher").first.click()
    assert "strategy_id=voucher" in screen.page.url


def reads_what_was_saved(screen: Screen) -> None:
    screen.open("/money")
    assert "1,200 EUR" in screen.read()


def reads_the_proof_of_a_message(screen: Screen) -> None:
    screen.open("/delivery?state=sent")
    assert "250 queued" in screen.read()


def reads_when_a_verdict_can_be_given(screen: Screen) -> None:
    screen.open("/strategies").get_by_role("link", name="Effects of strategies").click()
    assert "2025-04-01" in screen.read()


def reads_the_review_of_the_month(screen: Screen) -> None:
    screen.open("/strategies").get_by_role("link", name="Review of the month").click()
    assert "live → on watch" in screen.read()


def pauses_and_resumes_a_strategy(screen: Screen) -> None:
    for button in ("Pause", "Resume"):
        page = screen.open("/strategies")
        page.locator("details.answer summary").first.click()
        form = page.locator("form", has=page.get_by_role("button", name=button, exact=True)).first
        form.locator("input[name=reason]").fill("summer break")
        screen.press(button, within=form)
        assert ("paused" in screen.read()) == (button == "Pause")


def reads_the_model_next_to_its_baselines(screen: Screen) -> None:
    screen.open("/health")
    assert re.search(r"0\.870\s+0\.789", screen.read())


def finds_the_gate_that_is_closed(screen: Screen) -> None:
    screen.open("/health")
    assert "recency_days is never null" in screen.read()


def counts_rows_left_out(screen: Screen) -> None:
    assert screen.open("/health").get_by_role("cell", name="shop.orders").count() == 1


def reads_the_audit_log(screen: Screen) -> None:
    page = screen.open("/audit")
    assert page.locator("tbody tr").count() > 5


def reads_in_chinese(screen: Screen) -> None:
    page = screen.open("/today")
    page.get_by_role("link", name="中文").click()
    assert "风险金额最高的五名客户" in screen.read()
    page.get_by_role("link", name="English").click()


def adds_an_account_by_a_link(screen: Screen) -> None:
    page = screen.open("/users")
    form = page.locator("form[action='/users']")
    form.get_by_label("Name").fill("carol")
    screen.press("Add and make a link", within=form)
    assert "/link/" in page.locator("code").first.inner_text()


def makes_a_key(screen: Screen) -> None:
    page = screen.open("/users")
    form = page.locator("form[action='/keys']")
    form.get_by_label("Which program").fill("warehouse")
    screen.press("Make a key", within=form)
    assert page.locator("code").first.inner_text().startswith("holdfast_")


def sets_up_a_second_factor(screen: Screen) -> None:
    screen.open("/account")
    screen.press("Set up an app")
    assert re.fullmatch(r"\w{32}", screen.page.locator("code").inner_text())


def reaches_the_content_by_keyboard(screen: Screen) -> None:
    page = screen.open("/today")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**#content")


EVERYBODY = (reads_what_is_at_risk, reads_what_the_figures_rest_on, reads_in_chinese, reaches_the_content_by_keyboard)
ALERTS = (takes_an_alert_on, puts_an_alert_off, closes_an_alert_with_feedback, filters_alerts_by_level)
FIGURES = (reads_the_plan_and_what_limits_it, reads_what_was_saved, reads_when_a_verdict_can_be_given)
HEALTH = (reads_the_model_next_to_its_baselines, finds_the_gate_that_is_closed, counts_rows_left_out)
TASKS: dict[str, tuple[Task, ...]] = {
    "admin": (
        *EVERYBODY, adds_an_account_by_a_link, makes_a_key, sets_up_a_second_factor, reads_the_audit_log,
        hands_an_alert_over, finds_the_gate_that_is_closed,
    ),
    "data_engineer": (
        *EVERYBODY, *HEALTH, reads_the_proof_of_a_message, reads_the_audit_log, exports_the_list,
    ),
    "analyst": (
        *EVERYBODY, filters_the_list, sorts_the_list_by_score, exports_the_list, *FIGURES,
    ),
    "retention_manager": (
        opens_who_has_the_most_to_lose, sees_why_somebody_is_not_contacted, decides_otherwise_about_a_customer,
        pauses_and_resumes_a_strategy, opens_the_rows_of_a_strategy, reads_the_review_of_the_month, *FIGURES,
        takes_an_alert_on,
    ),
    "agent": (
        *EVERYBODY, *ALERTS, opens_who_has_the_most_to_lose, reads_incidents,
    ),
    "executive": (
        *EVERYBODY, *FIGURES, reads_the_review_of_the_month, filters_the_list, reads_the_model_next_to_its_baselines,
    ),
    "dpo": (
        *EVERYBODY, filters_the_list, sorts_the_list_by_score, opens_who_has_the_most_to_lose,
        sees_why_somebody_is_not_contacted, decides_otherwise_about_a_customer, reads_the_audit_log,
    ),
    "auditor": (
        *EVERYBODY, reads_the_audit_log, reads_the_proof_of_a_message, exports_the_list,
        sees_why_somebody_is_not_contacted, reads_what_was_saved, finds_the_gate_that_is_closed,
    ),
}  # fmt: skip


@pytest.mark.parametrize("role", ACCESS.roles_of("people"))
def test_the_ten_tasks_of_a_role_are_done_without_an_error_on_the_console(
    role: str, sit_down: Callable[[str], Screen]
) -> None:
    screen = sit_down(role)
    assert len(set(TASKS[role])) == 10
    for task in TASKS[role]:
        task(screen)
        assert screen.errors == [], task.__name__


@pytest.mark.parametrize("role", ACCESS.roles_of("people"))
def test_a_role_meets_no_page_and_no_value_that_is_not_its_own(role: str, sit_down: Callable[[str], Screen]) -> None:
    screen, grant = sit_down(role), ACCESS.grant(role)
    screen.open("/today")
    menu = {link.get_attribute("href") for link in screen.page.locator("nav a").all()}
    others = [action for action in ("alerts", "plan", "money", "delivery", "audit", "users") if not grant.may(action)]  # type: ignore[arg-type]
    assert not menu & {f"/{action}" for action in others}
    for action in others:
        answer = screen.page.goto(f"{screen.served.address}/{action}")
        assert answer is not None
        assert (answer.status, "secret-" in screen.page.content()) == (403, False)
    screen.open("/customers")
    text = screen.page.content()
    assert ("secret-" in text, "not for anybody" in text) == (grant.sees("customer_id") == "clear", False)
    if ACCESS.roles[role].rows == "own":
        own = set(make_tables()["customers"].query("responsible == @OWNER")["customer_id"])
        assert set(re.findall(r"secret-\d+", text)) <= own
    screen.errors.clear()  # a browser counts an answer of 403 among them


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_has_no_serious_fault_by_axe_in_either_language_or_theme(
    path: str, sit_down: Callable[[str], Screen]
) -> None:
    screen = sit_down("stranger" if path == "/sign-in" else "admin")
    faults = [
        f"{language} {theme}: {fault['id']} at {fault['nodes'][0]['html'][:160]}"
        for language in ("zh", "en")
        for theme, found in examine(screen, f"{path}{'&' if '?' in path else '?'}language={language}")
        for fault in found
    ]
    assert faults == []
    assert screen.errors == []


def examine(screen: Screen, path: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield what axe finds of a page in each theme: the second differs from the first by its colours alone."""
    screen.open(path)
    screen.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    screen.page.evaluate(AXE_SCRIPT)
    for theme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        screen.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found = screen.page.evaluate(FIND_FAULTS, options)
        yield theme, [fault for fault in found if fault["impact"] in SERIOUS]


@pytest.mark.parametrize(("language", "label"), [("en", "Save as PNG"), ("zh", "保存为 PNG")])
def test_a_chart_is_saved_as_a_picture_without_asking_anybody(
    language: str, label: str, sit_down: Callable[[str], Screen]
) -> None:
    screen = sit_down("admin")
    screen.open(f"/plan?language={language}")
    with screen.page.expect_download() as saved:
        screen.page.get_by_role("button", name=label).first.click()
    picture = Path(saved.value.path()).read_bytes()
    assert (picture[:8], int.from_bytes(picture[16:20], "big")) == (b"\x89PNG\r\n\x1a\n", 1200)
    assert saved.value.suggested_filename.endswith(".png")
    assert screen.errors == []


def test_no_view_is_wider_than_a_phone(sit_down: Callable[[str], Screen]) -> None:
    screen = sit_down("admin")
    screen.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wide = {
        path: width
        for path in VIEWS
        if path != "/sign-in"  # which would end the session
        for language in ("en", "zh")
        if (width := measure(screen, f"{path}{'&' if '?' in path else '?'}language={language}")) > PHONE["width"]
    }
    screen.page.set_viewport_size({"width": 1280, "height": 720})
    assert wide == {}


def measure(screen: Screen, path: str) -> int:
    return int(screen.open(path).evaluate("document.documentElement.scrollWidth"))


def test_a_first_link_leads_to_today_and_a_session_that_ends_leads_to_the_sign_in(
    browser: Browser, served: Served
) -> None:
    link = served.desk.users.add(User(name="dora", role="executive"), by="test", at=NOW)
    context = browser.new_context(base_url=served.address)
    page = context.new_page()
    page.goto(f"/link/{link}")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()
    assert page.url == f"{served.address}/today"
    page.get_by_role("button", name="Sign out").click()
    page.goto("/customers")
    assert page.url == f"{served.address}/sign-in"
    context.close()
