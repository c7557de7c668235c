"""The collector as an ASGI application: takes events, answers when they are durable, asks to wait when full."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from serving.access import Access
from serving.actor import InvalidRequestError
from serving.api.problems import answer_problem
from serving.lane.schema import TextReader, read_events
from serving.lane.writer import FullError, GroupWriter
from serving.sign_in.keys import ApiKeys

if TYPE_CHECKING:
    from starlette.requests import Request

    from company.policy.lane import Collector

LOG = logging.getLogger("holdfast.lane")
TRACKER = Path(__file__).with_name("tracker.js")
ACCEPTED = 202
_KEY_SECONDS = 10  # within which a revoked key may still send
_SCHEME = "Bearer "
_TEXT = b'"text"'  # of a body whose reading takes long enough to let others pass


@dataclass(kw_only=True)
class Keys:
    """Who may send: keys whose role has the action `collect`; an answer is remembered for some seconds."""

    keys: ApiKeys
    access: Access
    now: Callable[[], datetime]
    _known: dict[str, tuple[bool, datetime]] = field(default_factory=dict)

    async def admit(self, header: str) -> bool:
        """Return whether the header of a request carries such a key."""
        if not header.startswith(_SCHEME):
            return False
        text, at = header.removeprefix(_SCHEME), self.now()
        may, since = self._known.get(text, (False, datetime.min.replace(tzinfo=at.tzinfo)))
        if not may or at - since > timedelta(seconds=_KEY_SECONDS):
            may = await run_in_threadpool(self._verify, text, at)
            self._known = {**({text: (True, at)} if may else {}), **{k: v for k, v in self._known.items() if k != text}}
        return may

    def _verify(self, text: str, at: datetime) -> bool:
        key = self.keys.verify(text, at=at)
        role = self.access.roles_of("keys").get(key.role) if key is not None else None
        return role is not None and "collect" in role.actions


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """What the requests share; `waiting` gives how many durable events the lane has not read yet.

    `read_texts` reads what customers write; without it no words are taken.
    """

    writer: GroupWriter
    keys: Keys
    limits: "Collector"
    now: Callable[[], datetime]
    waiting: Callable[[], int]
    read_texts: TextReader | None = None


def create_collector(collecting: Collecting) -> Starlette:
    """Return the application; its writer runs as long as it does."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with collecting.writer:
            yield

    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(collecting.limits.origins),
        allow_methods=["POST"],
        allow_headers=["Authorization", "Content-Type"],
    )
    routes = [
        Route("/v1/events", _collect, methods=["POST"]),
        Route("/tracker.js", _give_tracker),
        Route("/health", _report_health),
    ]
    app = Starlette(routes=routes, middleware=[cors], lifespan=lifespan, exception_handlers={Exception: _fail})
    app.state.collecting = collecting
    return app


async def _collect(request: "Request") -> Response:
    collecting: Collecting = request.app.state.collecting
    limits = collecting.limits
    if not await collecting.keys.admit(request.headers.get("authorization", "")):
        detail = "Send a key that may collect, made by `holdfast keys add NAME --role collector`."
        return answer_problem(401, detail, **{"WWW-Authenticate": "Bearer"})
    body = await _read_body(request, most=limits.largest_body_kb * 1024)
    if body is None:
        return answer_problem(413, f"A body has at most {limits.largest_body_kb} KiB; send fewer events at once.")
    latest = int((collecting.now() + timedelta(seconds=limits.ahead_seconds)).timestamp() * 1000)
    read = partial(read_events, body, most=limits.events_per_request, latest=latest, read_texts=collecting.read_texts)
    try:
        rows = await run_in_threadpool(read) if _TEXT in body else read()
    except InvalidRequestError as fault:
        return answer_problem(422, str(fault))
    if collecting.waiting() > limits.most_waiting:
        return _ask_to_wait(limits)
    try:
        await collecting.writer.append(rows)
    except FullError:
        return _ask_to_wait(limits)
    return JSONResponse({"accepted": len(rows)}, status_code=ACCEPTED)


async def _read_body(request: "Request", *, most: int) -> bytes | None:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)


def _ask_to_wait(limits: "Collector") -> Response:
    detail = "More events wait than can be taken now; none of this request was stored. Send it again."
    return answer_problem(429, detail, **{"Retry-After": str(limits.retry_after_seconds)})


async def _fail(_request: "Request", error: Exception) -> Response:
    """Explain without a word of the error, whose text may quote values."""
    LOG.error("%s while events were taken", type(error).__name__)
    return answer_problem(500, "Nothing of this request is sure to be stored; send it again: no event counts twice.")


async def _give_tracker(_request: "Request") -> Response:
    return FileResponse(TRACKER, media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})


async def _report_health(request: "Request") -> Response:
    return JSONResponse({"waiting": request.app.state.collecting.waiting()})
