"""The built-in gateway's page, and its doors for messages and reports: `python -m orchestration.gateway --port 8090`.

The page shows what arrived in the inbox. `/inbox/<kind of channel>` takes what a channel over HTTP posts and answers
under `/inbox/<kind>/<key>` whether it has a key, so that settings of such channels can be tried without a receiver.
Under `/receipts/<kind>` a receiver reports that a message was sent, delivered, opened or redeemed, signed as Standard
Webhooks are, with a key that the channel's `receipt_keys` name.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from orchestration.entry import CompanyFile, Home, enter_deployment
from retention.acting.inbox import Arrival, Inbox
from retention.acting.signing import SignatureError, verify
from retention.store.ledger import DELIVERED, OPENED, REDEEMED, SENT
from serving.same_site import SameSite

if TYPE_CHECKING:
    from retention.store.store import Store

REPORTS = frozenset({SENT, DELIVERED, OPENED, REDEEMED})
MOST_BYTES = 16_384
ADDRESSES = frozenset({"to"})  # of what channels post; the inbox holds none
CODE_LENGTH = 10
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Inbox of the built-in gateway</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }} th, td {{ text-align: left; padding: .4rem .8rem .4rem 0;
border-bottom: 1px solid #ddd; vertical-align: top }} nav a {{ margin-right: 1rem }} .twice {{ color: #b00 }}
small {{ color: #666 }}</style></head><body><h1>Inbox of the built-in gateway</h1>
<p>What arrived instead of being sent by channels of your own. Addresses stay in the vault.</p>
<nav>{links}</nav><table><thead><tr><th>arrived</th><th>channel</th><th>customer</th><th>text</th><th>until</th></tr></thead>
<tbody>{rows}</tbody></table></body></html>
"""


def build_app(
    inbox: Inbox, store: "Store", *, keys: Mapping[str, Sequence[bytes]], clock: Callable[[], datetime]
) -> Starlette:
    """Return the pages; `keys` are those with which receivers sign, by kind of channel."""

    def show(request: Request) -> Response:
        channel = request.query_params.get("channel")
        return HTMLResponse(render(inbox.count(), inbox.read(channel=channel)))

    async def report(request: Request) -> Response:
        body = await read_body(request)
        if body is None:
            return JSONResponse({"error": "The report is too long."}, status_code=413)
        try:
            verify(keys.get(request.path_params["kind"], ()), headers=request.headers, body=body, at=clock())
        except SignatureError as error:
            return JSONResponse({"error": str(error)}, status_code=401)
        return record(store, body, at=clock())

    async def take(request: Request) -> Response:
        body = await read_body(request)
        if body is None:
            return JSONResponse({"error": "The message is too long."}, status_code=413)
        return keep(inbox, request.path_params["kind"], request.headers.get("Idempotency-Key"), body, at=clock())

    def find(request: Request) -> Response:
        is_there = inbox.find(request.path_params["key"]) is not None
        return JSONResponse({"is_there": is_there}, status_code=200 if is_there else 404)

    routes = [
        Route("/", show),
        Route("/inbox/{kind}", take, methods=["POST"]),
        Route("/inbox/{kind}/{key}", find),
        Route("/receipts/{kind}", report, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(SameSite)])


async def read_body(request: Request) -> bytes | None:
    """Return what was posted, None as soon as it is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def keep(inbox: Inbox, kind: str, key: str | None, body: bytes, *, at: datetime) -> Response:
    """Put a message that a channel posted into the inbox, but for the address in it; answer a coupon's code as well."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if key is None or not isinstance(content, dict):
        return JSONResponse({"error": "A message is a JSON object with a header Idempotency-Key."}, status_code=400)
    kept = {name: value for name, value in content.items() if name not in ADDRESSES}
    offer = f"{kept.get('kind', '')} {kept.get('amount', '')}".strip()
    inbox.take(
        Arrival(
            key=key, kind=kind, channel=str(kept.get("medium") or kept.get("channel") or kind),
            text=str(kept.get("text") or offer), body=kept, arrived_at=at,
        )
    )  # fmt: skip
    return JSONResponse({"code": key[:CODE_LENGTH].upper()}, status_code=201)


def record(store: "Store", body: bytes, *, at: datetime) -> Response:
    """Write a report of a receiver into the ledger, once per message and event.

    A report is JSON with the message's `key`, the `event`, and `at`, an ISO moment with its zone.
    """
    try:
        content = json.loads(body)
        key, event = str(content["key"]), str(content["event"])
        happened_at = datetime.fromisoformat(content["at"])
    except (ValueError, KeyError, TypeError):
        return JSONResponse({"error": "A report needs key, event and at, a moment with its zone."}, status_code=400)
    if event not in REPORTS or happened_at.tzinfo is None:
        words = f"The event is one of {', '.join(sorted(REPORTS))}, and its moment has a zone."
        return JSONResponse({"error": words}, status_code=400)
    try:
        is_new = store.outbox.report(key, event, happened_at=happened_at, at=at)
    except KeyError:
        return JSONResponse({"error": "No message has this key."}, status_code=404)
    return JSONResponse({"recorded": is_new})


def render(counts: Mapping[str, tuple[int, int]], arrivals: Sequence[Arrival]) -> str:
    """Return the page: a link per channel with its count, and one row per message."""
    links = [
        f'<a href="/?channel={escape(name, quote=True)}">{escape(name)} ({count[0]})</a>'
        for name, count in counts.items()
    ]
    return PAGE.format(links=" ".join(['<a href="/">all</a>', *links]), rows="".join(map(_row, arrivals)))


def _row(arrival: Arrival) -> str:
    mark = " <small>replay</small>" if arrival.is_replay else ""
    twice = f' <b class="twice">arrived {arrival.times} times</b>' if arrival.times > 1 else ""
    cells = (
        f"{arrival.arrived_at:%Y-%m-%d %H:%M} UTC{mark}{twice}",
        escape(arrival.channel),
        escape(str(arrival.body.get("customer_id", ""))),
        escape(arrival.text),
        escape(str(arrival.body.get("valid_until", ""))),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def main(
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
    port: Annotated[int, typer.Option(help="the port on loopback")] = 8090,
) -> None:
    """Serve the page of an instance until a signal asks for the end."""
    import uvicorn

    from orchestration.processes import LOOPBACK
    from orchestration.resources import open_store
    from orchestration.sending import now, read_receipt_keys
    from retention.acting.channels.gateway import INBOX

    deployment = enter_deployment(company, home)
    with open_store(deployment.settings) as store:
        inbox = Inbox(deployment.settings.outbox_folder / INBOX, key=deployment.settings.encryption_key)
        app = build_app(inbox, store, keys=read_receipt_keys(deployment), clock=now)
        uvicorn.run(app, host=LOOPBACK, port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
