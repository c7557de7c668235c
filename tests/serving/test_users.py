"""Sign-in: links work once, failures lock, sessions end, and what is doubtful is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from pyotp import TOTP

from company.policy import load_policy
from retention.store.store import Store
from serving.audit import AuditLog
from serving.sign_in import passwords
from serving.sign_in.second_factor import find_step
from serving.sign_in.users import SignInError, User, Users

AT = datetime(2024, 10, 1, 8, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
LIMITS = load_policy().desk.sign_in


@pytest.fixture(autouse=True)
def _cheap_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 16)


@pytest.fixture
def users(sqlite_store: Store) -> Users:
    return Users(sqlite_store.database, LIMITS)


@pytest.fixture
def ann(users: Users) -> Users:
    link = users.add(User(name="ann", role="agent", owner="ann"), by="admin", at=AT)
    users.choose_password(link, PASSWORD, at=AT)
    return users


def test_the_first_start_makes_one_admin_whose_link_works_once(users: Users) -> None:
    link = users.make_first_link(at=AT)
    assert link is not None
    assert users.owns_link(link, at=AT) == "admin"
    session = users.choose_password(link, PASSWORD, at=AT)
    assert users.find_session(session, at=AT) == User(name="admin", role="admin")
    assert (users.make_first_link(at=AT), users.owns_link(link, at=AT)) == (None, None)
    with pytest.raises(SignInError, match="link"):
        users.choose_password(link, "another long password", at=AT)


def test_a_newer_link_replaces_the_older_and_both_grow_old(users: Users) -> None:
    older, newer = users.make_first_link(at=AT), users.make_first_link(at=AT)
    assert older is not None
    assert newer is not None
    assert [users.owns_link(each, at=AT) for each in (older, newer)] == [None, "admin"]
    assert users.owns_link(newer, at=AT + timedelta(hours=LIMITS.link_hours)) is None


def test_a_short_password_is_refused_and_leaves_the_link(users: Users) -> None:
    link = users.make_first_link(at=AT)
    assert link is not None
    with pytest.raises(SignInError, match="short"):
        users.choose_password(link, "short", at=AT)
    assert users.owns_link(link, at=AT) == "admin"


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("admin", "")])
def test_a_wrong_name_and_a_wrong_password_are_refused_alike(ann: Users, name: str, password: str) -> None:
    with pytest.raises(SignInError, match="wrong"):
        ann.sign_in(name, password, at=AT)


def test_failures_lock_the_account_for_a_while_even_for_the_right_password(ann: Users) -> None:
    for _ in range(LIMITS.attempts):
        with pytest.raises(SignInError, match="wrong"):
            ann.sign_in("ann", "guess", at=AT)
    with pytest.raises(SignInError, match="locked"):
        ann.sign_in("ann", PASSWORD, at=AT + timedelta(minutes=LIMITS.locked_minutes - 1))
    assert ann.sign_in("ann", PASSWORD, at=AT + timedelta(minutes=LIMITS.locked_minutes))


def test_a_session_expires_and_ends_when_it_idles_is_ended_or_its_account_changes(ann: Users) -> None:
    def is_alive(session: str, later: timedelta) -> bool:
        return ann.find_session(session, at=AT + later) is not None

    idle = timedelta(minutes=LIMITS.idle_minutes)
    first, second, third = (ann.sign_in("ann", PASSWORD, at=AT) for _ in range(3))
    assert (is_alive(first, idle - timedelta(minutes=1)), is_alive(second, idle)) == (True, False)
    steps = range(0, LIMITS.session_hours * 60 + 1, LIMITS.idle_minutes // 2)
    alive = [is_alive(first, timedelta(minutes=minutes)) for minutes in steps]
    assert (alive[:-1], alive[-1]) == ([True] * (len(alive) - 1), False)
    ann.sign_out(third, at=AT)
    assert not is_alive(third, timedelta(0))
    fourth = ann.sign_in("ann", PASSWORD, at=AT)
    ann.change(User(name="ann", role="admin"), is_disabled=False, by="admin", at=AT + timedelta(minutes=1))
    assert not is_alive(fourth, timedelta(minutes=2))
    assert ann.find_session("no such session", at=AT) is None


def test_a_disabled_account_cannot_come_back_by_password_or_link(ann: Users) -> None:
    link = ann.renew_link("ann", by="admin", at=AT)
    ann.change(User(name="ann", role="agent", owner="ann"), is_disabled=True, by="admin", at=AT)
    with pytest.raises(SignInError, match="wrong"):
        ann.sign_in("ann", PASSWORD, at=AT)
    assert ann.owns_link(link, at=AT) is None


def test_no_secret_is_kept_or_logged_in_the_clear(ann: Users, sqlite_store: Store) -> None:
    session = ann.sign_in("ann", PASSWORD, at=AT)
    link = ann.renew_link("ann", by="admin", at=AT)
    with sqlite_store.database.read() as connection:
        tables = ("users", "sessions", "audit_log")
        kept = repr([connection.exec_driver_sql(f"select * from {table}").fetchall() for table in tables])
    assert [secret in kept for secret in (PASSWORD, session, link)] == [False, False, False]
    assert {"account", "link", "password", "sign_in"} <= {
        row["action"] for row in AuditLog(sqlite_store.database).read(limit=50)
    }


def test_a_change_of_an_account_is_logged_before_and_after(ann: Users, sqlite_store: Store) -> None:
    ann.change(User(name="ann", role="analyst"), is_disabled=False, by="admin", at=AT)
    entry = AuditLog(sqlite_store.database).read(limit=1)[0]
    assert (entry["done_by"], entry["subject"], entry["detail"]) == (
        "admin",
        "ann",
        "role: agent -> analyst; owner: ann -> None",
    )


@pytest.mark.parametrize(
    ("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    """Appendix B of RFC 6238, its last six digits."""
    secret, at = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", datetime.fromtimestamp(seconds, UTC)
    assert find_step(secret, code, at=at, after=None) == seconds // 30
    assert find_step(secret, code, at=at + timedelta(seconds=90), after=None) is None


def test_an_account_with_a_second_factor_needs_a_code_and_each_code_once(ann: Users) -> None:
    secret = ann.begin_second_factor("ann")
    assert ann.sign_in("ann", PASSWORD, at=AT)  # not needed before a code was confirmed
    with pytest.raises(SignInError, match="code"):
        ann.confirm_second_factor("ann", "000000", at=AT)
    ann.confirm_second_factor("ann", TOTP(secret).at(AT), at=AT)
    later = AT + timedelta(minutes=1)
    code = TOTP(secret).at(later)
    for wrong in ("", "000000", TOTP(secret).at(AT)):
        with pytest.raises(SignInError, match="wrong"):
            ann.sign_in("ann", PASSWORD, code=wrong, at=later)
    with pytest.raises(SignInError, match="wrong"):
        ann.sign_in("ann", "guess", code=code, at=later)
    assert ann.sign_in("ann", PASSWORD, code=TOTP(secret).at(later + timedelta(seconds=30)), at=later)
    with pytest.raises(SignInError, match="wrong"):
        ann.sign_in("ann", PASSWORD, code=code, at=later)


def test_a_new_link_takes_a_lost_second_factor_away(ann: Users) -> None:
    secret = ann.begin_second_factor("ann")
    ann.confirm_second_factor("ann", TOTP(secret).at(AT), at=AT)
    ann.choose_password(ann.renew_link("ann", by="admin", at=AT), PASSWORD, at=AT)
    assert (ann.has_second_factor("ann"), len(ann.sign_in("ann", PASSWORD, at=AT)) > 0) == (False, True)
