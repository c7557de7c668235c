"""One request of a signed-in person: who they are, what they may see, and the language in which they read it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment

from company.policy import Policy
from retention.store.store import Store
from serving.access import Access, Action, Condition, Grant, Measure, Order, Question, Visibility
from serving.audit import AuditLog, Entry
from serving.desk.language import Words, choose_language
from serving.sign_in.passwords import hash_secret
from serving.sign_in.users import User, Users
from serving.snapshot import NothingPublishedError, Snapshot

SESSION_COOKIE, VISIT_COOKIE, LANGUAGE_COOKIE = "holdfast_session", "holdfast_visit", "holdfast_language"
_LARGEST_FORM = 64 * 1024
_MOST_FIELDS = 50


class NotSignedInError(Exception):
    """There is no session, or it has ended: the person signs in again."""


class NotFoundError(Exception):
    """There is no such thing among what the person may see."""


class InvalidRequestError(Exception):
    """The address or the form holds a value that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What all requests share."""

    snapshot: Snapshot
    store: Store
    access: Access
    policy: Policy
    templates: Environment
    now: Callable[[], datetime]

    @cached_property
    def users(self) -> Users:
        """Users and sessions."""
        return Users(self.store.database, self.policy.desk.sign_in)

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self.store.database)


@dataclass(kw_only=True)
class Visit:
    """A request with its person; every reading of the snapshot goes through `ask`, and so through their grant."""

    desk: Desk
    request: Request
    user: User
    grant: Grant
    secret: str = field(repr=False)

    @property
    def now(self) -> datetime:
        """The moment of the request."""
        return self.desk.now()

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What the figures rest on. Raises NothingPublishedError."""
        rows = self.ask(Question(relation="about"))
        if not rows:
            raise NothingPublishedError(
                f"{self.desk.snapshot.path}: an earlier release published this file; run again."
            )
        return rows[0]

    @cached_property
    def words(self) -> Words:
        """The texts of the person's language."""
        try:
            about = self.about
        except NothingPublishedError:
            about = {"currency": "", "timezone": "UTC"}
        return Words(language=language_of(self.request), currency=about["currency"], timezone=about["timezone"])

    @property
    def csrf(self) -> str:
        """The token that a form of this session carries."""
        return hash_secret(self.secret, "form")

    def ask(self, question: Question) -> list[dict[str, Any]]:
        """Return what the person may see of the answer to a question."""
        return self.desk.snapshot.ask(self.grant, question)

    def count(self, relation: str, *where: Condition, **measures: Measure) -> dict[str, Any]:
        """Return figures over the rows that meet all conditions; those over fields not seen clear are left out."""
        seen = {
            name: each for name, each in measures.items() if each.column is None or self.sees(each.column) == "clear"
        }
        everybody = Measure(function="count", name="count")
        rows = self.ask(Question(relation=relation, where=where, measures=(everybody, *seen.values())))
        return dict.fromkeys(measures) | (rows[0] if rows else {"count": 0})

    def sees(self, column: str) -> Visibility:
        """Return how the person sees a column."""
        return self.grant.sees(column)

    def may(self, action: Action) -> bool:
        """Return whether the person may do something."""
        return self.grant.may(action)

    def require(self, action: Action) -> None:
        """Raise AccessDeniedError unless the person may do something."""
        self.grant.require(action)

    def record(self, action: str, **about: str | None) -> None:
        """Write to the audit log what the person did; `about` is the entry's customer_id, subject and detail."""
        given = {name: value for name, value in about.items() if value is not None}
        self.desk.audit.add(Entry(done_at=self.now, done_by=self.user.name, action=action, **given))

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the address, None where it is absent or empty."""
        return self.request.query_params.get(name) or None

    def read_key(self, orders: Sequence[Order]) -> tuple[Any, ...]:
        """Return the key of the row behind which the page begins. Raises InvalidRequestError."""
        text = self.parameter("after")
        if text is None:
            return ()
        try:
            values = json.loads(text)
        except ValueError:
            raise InvalidRequestError("The key of a page is a list of values.") from None
        is_key = isinstance(values, list) and len(values) == len(orders)
        if not is_key or not all(value is None or isinstance(value, int | float) for value in values):
            raise InvalidRequestError("The key of a page has a number for each column of its order.")
        return tuple(values)

    def link(self, **changes: object) -> str:
        """Return this page's address with parameters set, or taken out where they are None."""
        parameters: dict[str, object] = dict(self.request.query_params.items())
        parameters |= {"language": None, **changes}
        kept = {name: value for name, value in parameters.items() if value is not None}
        query = urlencode(kept)
        return f"{self.request.url.path}?{query}" if query else self.request.url.path

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401
        """Return a page."""
        return render(self.desk, self.request, template, status=status, words=self.words, visit=self, **values)


def render(
    desk: Desk,
    request: Request,
    template: str,
    *,
    words: Words,
    visit: Visit | None = None,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - what a template shows
) -> HTMLResponse:
    """Return a page, and keep the language that the address asked for."""
    page = desk.templates.get_template(template)
    html = page.render(t=words.text, words=words, visit=visit, request=request, now=desk.now(), **values)
    answer = HTMLResponse(html, status_code=status)
    if request.query_params.get("language"):
        set_cookie(answer, LANGUAGE_COOKIE, words.language, keep=timedelta(days=365))
    return answer


def enter(request: Request) -> Visit:
    """Return the visit of the person whose session the request carries. Raises NotSignedInError."""
    desk: Desk = request.app.state.desk
    secret = request.cookies.get(SESSION_COOKIE, "")
    user = desk.users.find_session(secret, at=desk.now()) if secret else None
    if user is None or user.role not in desk.access.roles:
        raise NotSignedInError
    grant = desk.access.grant(user.role, owner=user.owner, region=user.region)
    return Visit(desk=desk, request=request, user=user, grant=grant, secret=secret)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that carries the token of the request's cookie. Raises InvalidRequestError."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_FORM:
            raise InvalidRequestError("The form is too large.")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidRequestError("The form cannot be read.") from None
    form = {name: values[-1].strip() if name != "password" else values[-1] for name, values in fields.items()}
    secret = request.cookies.get(SESSION_COOKIE) or request.cookies.get(VISIT_COOKIE)
    if not secret or form.pop("csrf", "") != hash_secret(secret, "form"):
        raise NotSignedInError
    return form


def language_of(request: Request) -> str:
    """Return the language of the address, else of the cookie, else of the browser."""
    wishes = (request.query_params.get("language"), request.cookies.get(LANGUAGE_COOKIE))
    return choose_language(*wishes, request.headers.get("accept-language"))


def set_cookie(answer: Response, name: str, value: str, *, keep: timedelta | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    age = None if keep is None else int(keep.total_seconds())
    answer.set_cookie(name, value, max_age=age, httponly=True, samesite="strict", path="/")


def go_to(path: str) -> RedirectResponse:
    """Return the answer that sends a browser to a page of this server, after a form."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return RedirectResponse(path if is_ours else "/", status_code=303)


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)
