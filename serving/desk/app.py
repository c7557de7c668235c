"""The desk as an ASGI application: its pages, its errors, and the headers of every answer."""

import logging
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException

from serving.access import AccessDeniedError, MissingFieldError
from serving.api.app import PATH, create_api, limit_bodies
from serving.desk import pages
from serving.desk.language import Words
from serving.desk.visit import (
    Desk,
    InvalidRequestError,
    NotFoundError,
    NotSignedInError,
    Visit,
    enter,
    go_to,
    language_of,
    render,
)
from serving.same_site import LOOPBACK_NAMES, SameSite
from serving.sign_in.passwords import make_secret
from serving.snapshot import NothingPublishedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent
LOG = logging.getLogger("holdfast.desk")
# no page of ours needs more, and nothing that a value could bring in does more
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}
NOTHING, DENIED, MISSING, INVALID, FAILED, EMPTY = 204, 403, 404, 400, 500, 503


def create_app(desk: Desk, *, hosts: "Iterable[str]" = LOOPBACK_NAMES, has_tls: bool = False) -> "ASGIApp":
    """Return the application; `hosts` are the names under which it may be asked, `has_tls` whether by TLS alone."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.mount(PATH, create_api(desk))  # first, so that programs' requests are not compared with every page
    for found in iter_modules(pages.__path__):
        app.include_router(import_module(f"{pages.__name__}.{found.name}").router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    app.add_api_route("/favicon.ico", _no_icon, methods=["GET"], status_code=NOTHING)
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return SameSite(_with_headers(limit_bodies(app), has_tls=has_tls), hosts)


def read_templates() -> Environment:
    """Return the templates; a value that a page does not have is an error, and all values are escaped."""
    loader = FileSystemLoader(FOLDER / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _no_icon() -> Response:
    return Response(status_code=NOTHING)


def _with_headers(app: "ASGIApp", *, has_tls: bool) -> "ASGIApp":
    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (HEADERS | (TLS_HEADERS if has_tls else {})).items():
                    headers.setdefault(name, value)
                message["headers"] = [_secure(*header) if has_tls else header for header in headers.raw]
            await send(message)

        await app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    return answer


def _secure(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a header; a cookie as one that browsers send by TLS alone."""
    return (name, value + b"; Secure") if name == b"set-cookie" else (name, value)


def _ask_to_sign_in(request: Request, _error: Exception) -> Response:
    return go_to("/sign-in?ended=1" if request.method == "POST" else "/sign-in")


def _deny(request: Request, error: Exception) -> Response:
    visit = enter(request)
    visit.record("denied", detail=f"{request.method} {request.scope['route'].path}: {error}")
    return _explain(request, "denied", DENIED)


def _fail(request: Request, error: Exception) -> Response:
    """Explain without a word of the error: its text may quote values."""
    number = make_secret()[:8]
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    line = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "-"
    LOG.error("%s %s at %s", number, type(error).__name__, line)
    return _explain(request, "failed", FAILED, number=number)


def _explain(request: Request, reason: str, status: int, **values: object) -> Response:
    try:
        visit: Visit | None = enter(request)
    except NotSignedInError:
        visit = None
    words = visit.words if visit else Words(language=language_of(request))
    message = words.text(f"error.{reason}", **values)
    return render(
        request.app.state.desk, request, "error.html", words=words, visit=visit, status=status, message=message,
        fix=words.text("error.empty_fix") if reason == "empty" else "",
    )  # fmt: skip


def _answer_http(request: Request, error: Exception) -> Response:
    is_missing = isinstance(error, HTTPException) and error.status_code == MISSING
    return _explain(request, "missing" if is_missing else "invalid", getattr(error, "status_code", INVALID))


_ANSWERS = {
    NotSignedInError: _ask_to_sign_in,
    AccessDeniedError: _deny,
    NotFoundError: lambda request, _: _explain(request, "missing", MISSING),
    InvalidRequestError: lambda request, _: _explain(request, "invalid", INVALID),
    NothingPublishedError: lambda request, _: _explain(request, "empty", EMPTY),
    MissingFieldError: lambda request, _: _explain(request, "empty", EMPTY),
    HTTPException: _answer_http,
    Exception: _fail,
}
