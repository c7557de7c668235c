"""The API as an ASGI application, mounted at /v1: its routes, its errors, its document and its limits."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from serving.api import routes
from serving.api.caller import Rates
from serving.api.problems import RESPONSES, Problem, answer_problem, install

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.actor import Desk

PATH = "/v1"
LARGEST_BODY = 64 * 1024
TOO_LARGE = 413
DESCRIPTION = """Customers at risk, why, what is done and what came of it, for programs.

Every answer is confined to the rows and fields of the key's role: a field that it does not see is absent, a masked one
shows whether there is a value, and of a number its order of magnitude. Lists go page by page behind the key `next`; an
ETag saves asking for what has not changed. A write carries an Idempotency-Key, so that it can be sent again."""


def create_api(desk: "Desk") -> FastAPI:
    """Return the application without its limit on bodies, which `limit_bodies` lays around it."""
    api = FastAPI(
        title="Holdfast", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None, responses=RESPONSES
    )
    api.state.desk = desk
    api.state.rates = Rates(per_minute=desk.policy.desk.api.requests_per_minute, now=desk.now)
    for found in iter_modules(routes.__path__):
        api.include_router(import_module(f"{routes.__name__}.{found.name}").router)
    install(api)
    _describe_problem(api)
    return api


def _describe_problem(api: FastAPI) -> None:
    """Put the schema of a problem into the document, which the answers of all paths refer to."""
    describe = api.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        schemas = document["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        schemas.pop("HTTPValidationError", None), schemas.pop("ValidationError", None)
        return document

    api.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own manual extends its document


def limit_bodies(app: "ASGIApp", *, path: str = PATH) -> "ASGIApp":
    """Return the application, closed to bodies below `path` of more than `LARGEST_BODY`, announced or not."""

    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{path}/"):
            await app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY:
                await answer_problem(TOO_LARGE, f"A body has at most {LARGEST_BODY} bytes.")(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        await app(scope, _replay(bytes(body), receive), send)

    return answer


def _replay(body: bytes, receive: "Receive") -> "Receive":
    """Return a channel that gives a body that was read, then what follows it."""
    read = [body]

    async def receive_again() -> "Message":
        return {"type": "http.request", "body": read.pop(), "more_body": False} if read else await receive()

    return receive_again
