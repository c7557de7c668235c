"""Errors of the API as problem details, RFC 9457: what went wrong, in the same shape everywhere, without a value."""

import json
import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serving.access import AccessDeniedError, MissingFieldError
from serving.actor import InvalidRequestError, NotFoundError
from serving.api.caller import NoKeyError, TooManyRequestsError
from serving.api.idempotency import ConflictError
from serving.sign_in.passwords import make_secret
from serving.snapshot import NothingPublishedError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

LOG = logging.getLogger("holdfast.api")
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong: `title` names the kind, `detail` what to do."""

    type: str
    title: str
    status: int
    detail: str


TITLES = {
    400: "The request cannot be read",
    401: "A valid key is needed",
    403: "The role of this key may not do this",
    404: "There is no such thing among what this key may see",
    405: "This method is not allowed here",
    409: "The request meets something that has changed",
    413: "The request is too large",
    422: "A value of the request cannot be used",
    429: "Too many requests",
    500: "Something failed on our side",
    503: "Nothing is published yet",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": title, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, title in TITLES.items()
}


def answer_problem(status: int, detail: str = "", **headers: str) -> Response:
    """Return a problem."""
    title = TITLES.get(status, TITLES[400])
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail or f"{title}."}
    return Response(json.dumps(body), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: "FastAPI") -> None:
    """Let an application answer every error as a problem."""
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)


def _deny(request: "Request", error: Exception) -> Response:
    path = request.scope["route"].path
    request.state.caller.record("denied", detail=f"{request.method} /v1{path}: {error}")
    return answer_problem(403, str(error))


def _ask_for_key(_request: "Request", _error: Exception) -> Response:
    detail = "Send a key that has neither expired nor been revoked: Authorization: Bearer holdfast_..."
    LOG.warning("refused: no key that holds")
    return answer_problem(401, detail, **{"WWW-Authenticate": "Bearer"})


def _slow_down(_request: "Request", error: Exception) -> Response:
    wait = error.wait if isinstance(error, TooManyRequestsError) else 60
    return answer_problem(429, str(error), **{"Retry-After": f"{int(wait) + 1}"})


def _explain_values(_request: "Request", error: Exception) -> Response:
    """Name the places and what is wrong with them, never the values: they may be personal."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    listed = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults)
    return answer_problem(422, listed)


def _answer_http(_request: "Request", error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    return answer_problem(status, **headers)


def _fail(_request: "Request", error: Exception) -> Response:
    """Explain without a word of the error: its text may quote values."""
    number, place = make_secret()[:8], error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    line = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "-"
    LOG.error("%s %s at %s", number, type(error).__name__, line)
    return answer_problem(500, f"Give an administrator this number: {number}.")


_ANSWERS: dict[Any, Any] = {
    NoKeyError: _ask_for_key,
    TooManyRequestsError: _slow_down,
    AccessDeniedError: _deny,
    NotFoundError: lambda _request, _error: answer_problem(404),
    ConflictError: lambda _request, error: answer_problem(409, str(error)),
    InvalidRequestError: lambda _request, error: answer_problem(422, str(error)),
    MissingFieldError: lambda _request, error: answer_problem(422, str(error)),
    NothingPublishedError: lambda _request, _error: answer_problem(503, "Run the pipeline first: `holdfast run`."),
    RequestValidationError: _explain_values,
    HTTPException: _answer_http,
    Exception: _fail,
}
