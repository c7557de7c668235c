"""One request of a signed-in person: who they are, what they may see, and the language in which they read it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from serving.access import Order
from serving.actor import Actor, Desk, InvalidRequestError, NotFoundError
from serving.desk.language import Words, choose_language
from serving.sign_in.passwords import hash_secret
from serving.sign_in.users import User
from serving.snapshot import NothingPublishedError

__all__ = [  # what a page is written with
    "Desk", "InvalidRequestError", "NotFoundError", "NotSignedInError", "Visit", "enter", "go_to", "language_of",
    "read_form", "render", "set_cookie",
]  # fmt: skip

SESSION_COOKIE, VISIT_COOKIE, LANGUAGE_COOKIE = "holdfast_session", "holdfast_visit", "holdfast_language"
_LARGEST_FORM = 64 * 1024
_MOST_FIELDS = 50


class NotSignedInError(Exception):
    """There is no session, or it has ended: the person signs in again."""


@dataclass(kw_only=True)
class Visit(Actor):
    """A request with its person."""

    request: Request
    user: User
    secret: str = field(repr=False)

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
    if user is None or user.role not in desk.access.roles_of("people"):
        raise NotSignedInError
    grant = desk.grant(user.role, owner=user.owner, region=user.region)
    return Visit(desk=desk, name=user.name, request=request, user=user, grant=grant, secret=secret)


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


Person = Annotated[Visit, Depends(enter)]
Form = Annotated[dict[str, str], Depends(read_form)]


def language_of(request: Request) -> str:
    """Return the language of the address, else of the cookie, else of the browser."""
    wishes = (request.query_params.get("language"), request.cookies.get(LANGUAGE_COOKIE))
    return choose_language(*wishes, request.headers.get("accept-language"))


def set_cookie(
    answer: Response,
    name: str,
    value: str,
    *,
    keep: timedelta | None = None,
    same_site: Literal["strict", "lax"] = "strict",
) -> None:
    """Set a cookie that scripts cannot read and, unless it is lax, other sites cannot send."""
    age = None if keep is None else int(keep.total_seconds())
    answer.set_cookie(name, value, max_age=age, httponly=True, samesite=same_site, path="/")


def go_to(path: str) -> RedirectResponse:
    """Return the answer that sends a browser to a page of this server, after a form."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return RedirectResponse(path if is_ours else "/", status_code=303)


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)
