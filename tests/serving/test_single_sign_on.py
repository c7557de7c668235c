"""Single sign-on: a whole round with a provider, and every way in which one must not end in a session."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey
from published_shop import NOW
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from company.policy.serving import SingleSignOn
from serving.access import read_access
from serving.audit import AuditLog
from serving.desk.app import create_app
from serving.desk.visit import SESSION_COOKIE, Desk
from serving.sign_in.provider import open_provider
from serving.sign_in.users import User

HOST, ISSUER, CLIENT, SECRET = "http://127.0.0.1", "https://id.example", "holdfast", "a secret of the client"
SETTINGS = SingleSignOn(
    label="Example", issuer=ISSUER, client_id=CLIENT, secret="OIDC_SECRET", role_claim="groups", owner_claim="team",
    roles={"desk-admins": "admin", "sales": "agent"},
)  # fmt: skip
KEY, OTHER_KEY = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
Change = Callable[[dict[str, Any]], None]


@dataclass(kw_only=True)
class Issuer:
    """A provider of OpenID Connect over one person, whose claims a test changes."""

    person: dict[str, Any] = field(default_factory=lambda: {"sub": "1", "preferred_username": "eve"})
    key: RSAKey = field(default_factory=lambda: KEY)
    change: Change = lambda _: None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, address: str) -> str:
        """Sign the person in, and return the address to which the browser is sent back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/keys", lambda _: JSONResponse({"keys": [KEY.as_dict(private=False)]})),
                Route("/token", self._give_token, methods=["POST"]),
            ]
        )

    def _describe(self, _request: Request) -> JSONResponse:
        addresses = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": ISSUER, **{name: f"{ISSUER}/{path}" for name, path in addresses.items()}})

    async def _give_token(self, request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(form["code"], None)
        is_right = asked and asked["code_challenge"] == create_s256_code_challenge(form["code_verifier"])
        is_client = request.headers["authorization"] == httpx.BasicAuth(CLIENT, SECRET)._auth_header
        if asked is None or not is_right or not is_client or asked["redirect_uri"] != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        at = int(NOW.timestamp())
        claims = {"iss": ISSUER, "aud": CLIENT, "exp": at + 300, "iat": at, "nonce": asked["nonce"], **self.person}
        self.change(claims)
        token = jwt.encode({"alg": "RS256"}, claims, self.key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def browser(desk: Desk, issuer: Issuer) -> Iterator[TestClient]:
    transport = httpx.ASGITransport(app=issuer.app())
    provider = open_provider(SETTINGS, roles=read_access().roles, secrets={"OIDC_SECRET": SECRET}, transport=transport)
    with TestClient(create_app(replace(desk, provider=provider)), base_url=HOST) as client:
        yield client


def go_round(browser: TestClient, issuer: Issuer) -> Any:  # noqa: ANN401 - httpx's own answer
    begun = browser.get("/sign-in/provider", follow_redirects=False)
    assert begun.headers["location"].startswith(f"{ISSUER}/authorize?")
    return browser.get(issuer.authorize(begun.headers["location"]), follow_redirects=False)


def test_a_round_ends_in_a_session_with_the_role_and_the_owner_of_the_claims(
    browser: TestClient, issuer: Issuer, desk: Desk
) -> None:
    issuer.person |= {"groups": ["staff", "sales"], "team": "ann", "sub": "round", "preferred_username": "rosa"}
    assert "Sign in with Example" in browser.get("/sign-in").text
    answer = go_round(browser, issuer)
    assert (answer.status_code, 'content="0; url=/today"' in answer.text) == (200, True)
    assert browser.get("/today").status_code == 200
    assert browser.get("/plan").status_code == 403
    shown = set(re.findall(r"secret-\d+", browser.get("/customers").text))
    assert len(shown) > 0
    account = next(row for row in desk.users.read() if row["name"] == "rosa")
    assert (account["role"], account["owner"], account["subject"]) == ("agent", "ann", f"{ISSUER}|round")
    assert AuditLog(desk.store.database).read(limit=9)[-1] is not None


def test_changed_claims_change_the_account_and_end_its_earlier_sessions(
    browser: TestClient, issuer: Issuer, desk: Desk
) -> None:
    issuer.person |= {"groups": "desk-admins", "sub": "moved", "preferred_username": "mona"}
    go_round(browser, issuer)
    earlier = browser.cookies[SESSION_COOKIE]
    assert browser.get("/users").status_code == 200
    issuer.person |= {"groups": ["sales"], "team": "bob"}
    browser.cookies.clear()
    go_round(browser, issuer)
    assert browser.get("/users").status_code == 403
    assert desk.users.find_session(earlier, at=NOW) is None
    desk.users.change(User(name="mona", role="agent"), is_disabled=True, by="test", at=NOW)
    assert go_round(browser, issuer).status_code == 401


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"aud": "another client"}, "did not succeed"),
        ({"iss": "https://evil.example"}, "did not succeed"),
        ({"exp": int(NOW.timestamp()) - 3600}, "did not succeed"),
        ({"nonce": "of another round"}, "did not succeed"),
        ({"azp": "another client"}, "did not succeed"),
        ({"groups": ["visitors"]}, "no group that may use the desk"),
        ({"groups": None}, "no group that may use the desk"),
        ({"preferred_username": "admin"}, "account of this name already"),
        ({"preferred_username": "x" * 81}, "account of this name already"),
    ],
)
def test_a_token_that_does_not_hold_opens_nothing(
    change: dict[str, Any], reason: str, browser: TestClient, issuer: Issuer, desk: Desk
) -> None:
    desk.users.make_first_link(at=NOW)
    issuer.person |= {"groups": ["sales"], "sub": "refused", "preferred_username": "ruth"}
    issuer.change = lambda claims: claims.update(change)
    answer = go_round(browser, issuer)
    assert (answer.status_code, reason in answer.text, SESSION_COOKIE in browser.cookies) == (401, True, False)


def test_a_token_of_another_key_a_used_code_and_another_browser_s_answer_open_nothing(
    browser: TestClient, issuer: Issuer
) -> None:
    issuer.person |= {"groups": ["sales"], "sub": "forged", "preferred_username": "fred"}
    issuer.key = OTHER_KEY
    assert go_round(browser, issuer).status_code == 401
    issuer.key = KEY
    begun = browser.get("/sign-in/provider", follow_redirects=False).headers["location"]
    back = issuer.authorize(begun)
    kept = browser.cookies["holdfast_round"]
    assert browser.get(back).status_code == 200
    browser.cookies.clear()
    browser.cookies.set("holdfast_round", kept)
    assert browser.get(back).status_code == 401  # the code was used
    browser.cookies.clear()
    assert browser.get(issuer.authorize(begun)).status_code == 401  # begun by somebody else
    assert browser.get("/sign-in/callback?error=access_denied&state=x").status_code == 401


def test_a_provider_that_does_not_answer_is_reported_on_the_form(desk: Desk) -> None:
    silent = open_provider(
        SETTINGS, roles=read_access().roles, secrets={"OIDC_SECRET": SECRET},
        transport=httpx.ASGITransport(app=Starlette()),
    )  # fmt: skip
    client = TestClient(create_app(replace(desk, provider=silent)), base_url=HOST)
    answer = client.get("/sign-in/provider")
    assert (answer.status_code, "did not succeed" in answer.text) == (401, True)
    assert TestClient(create_app(desk), base_url=HOST).get("/sign-in/provider").status_code == 404


@pytest.mark.parametrize(
    ("change", "secrets", "message"),
    [
        ({"roles": {"sales": "king"}}, {"OIDC_SECRET": "x"}, "names 'king'"),
        ({}, {}, "names 'OIDC_SECRET', which the environment does not have"),
    ],
)
def test_settings_that_name_what_does_not_exist_are_refused(
    change: dict[str, Any], secrets: dict[str, str], message: str
) -> None:
    settings = SETTINGS.model_copy(update=change)
    with pytest.raises(ValueError, match=message):
        open_provider(settings, roles=read_access().roles, secrets=secrets)
    with pytest.raises(ValueError, match="issuer"):
        SingleSignOn(issuer="http://id.example", client_id=CLIENT, roles={"a": "admin"})
