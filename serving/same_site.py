"""An ASGI middleware that closes a server on loopback to the pages of other sites.

Whatever a browser opens can ask a server on loopback: by a link, a form, a web socket, or a host name that is made to
point at loopback (DNS rebinding). `SameSite` refuses what comes so before the server sees it.
"""

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("holdfast.same_site")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY_VIOLATION = 1008  # the code with which a web socket is closed, RFC 6455 section 7.4.1


class SameSite:
    """An ASGI middleware that lets through what a page of this server, or a program, asks of it by one of its `hosts`.

    A refusal is the answer 403 with one sentence; a refused web socket is closed before it is accepted.
    """

    def __init__(self, app: "ASGIApp", hosts: "Iterable[str]" = LOOPBACK_NAMES) -> None:
        """Stand before `app`; `hosts` are the names, without ports, under which it may be asked."""
        self.app = app
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Refuse, or pass on."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        refusal = self.refuse(scope)
        if refusal is not None:
            LOG.warning(
                "refused a %s: %s", scope.get("method", "web socket"), refusal
            )  # an address may name a customer
        if refusal is None:
            await self.app(scope, receive, _unframed(send) if scope["type"] == "http" else send)
        elif scope["type"] == "http":
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal})

    def refuse(self, scope: "Scope") -> str | None:
        """Return why a request is refused, None when it is not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in self.hosts:
            return "This server answers to its own name only; open it as http://127.0.0.1 with its port."
        is_read = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        is_foreign = site not in {"same-origin", "none"} if origin is None else urlsplit(origin).netloc != host
        if is_foreign and not is_read:
            return "A page of another site must not change anything here."
        return None


def _unframed(send: "Send") -> "Send":
    """Return `send` with the header that keeps other sites from showing a page inside of theirs."""

    async def send_unframed(message: "Message") -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
        await send(message)

    return send_unframed
