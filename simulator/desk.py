"""The service desk as an HTTP API: bearer token, cursor pages, and every trouble that real APIs make, on demand."""

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.streams import generator

RESOURCES = ("tickets", "surveys", "users")
BASE = "/api/v2"
_MOST_ROWS = 1000
_DEFAULT_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Shares of requests that go wrong, decided by `seed` and the number of the request, never by the clock.

    `limited` answers 429 with Retry-After, `failing` 503, `cut` breaks the connection in the middle of the body,
    `malformed` sends half a JSON document as if it were whole.
    """

    limited: float = 0.0
    failing: float = 0.0
    cut: float = 0.0
    malformed: float = 0.0
    retry_after: int = 1
    seed: int = 0

    def of(self, number: int) -> str:
        """Return what goes wrong with the request of this number; "none" when nothing does."""
        draw = float(generator(self.seed, "trouble", number).random())
        for name in ("limited", "failing", "cut", "malformed"):
            share = getattr(self, name)
            if draw < share:
                return name
            draw -= share
        return "none"


@dataclass(kw_only=True)
class Desk:
    """What the desk serves and how badly; `trouble` may be changed while it runs, `log` holds every answer's status."""

    tables: dict[str, pa.Table]
    token: str
    trouble: Trouble = field(default_factory=Trouble)
    log: list[tuple[str, int]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _lock: Lock = field(default_factory=Lock)

    def next_trouble(self) -> str:
        """Return what goes wrong with the next request."""
        with self._lock:
            return self.trouble.of(next(self._numbers))

    def page(self, resource: str, *, cursor: str | None, since: str | None, limit: int) -> dict[str, Any]:
        """Return one page: rows in order of `updated_at` from `since` on, and the cursor of the next page or None.

        Raises ValueError when the cursor or `since` cannot be read.
        """
        table = self.tables[resource]
        first = _read_cursor(cursor) if cursor else _first_since(table, since)
        rows = table.slice(first, limit)
        more = first + limit < table.num_rows
        return {"data": rows.to_pylist(), "next_cursor": _cursor(first + limit) if more else None}


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"row:{position}".encode()).decode()


def _read_cursor(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("row:"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise ValueError(f"the cursor {cursor!r} is none of ours") from None


def _first_since(table: pa.Table, since: str | None) -> int:
    if since is None:
        return 0
    moment = datetime.fromisoformat(since)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return int(np.searchsorted(table.column("updated_at").to_numpy(), text))


def read_desk(folder: Path, *, token: str, trouble: Trouble | None = None) -> Desk:
    """Return the desk whose records lie in `folder`; moments become ISO text."""
    tables = {name: _as_json_types(pq.read_table(folder / f"{name}.parquet")) for name in RESOURCES}
    return Desk(tables=tables, token=token, trouble=trouble or Trouble())


def _as_json_types(table: pa.Table) -> pa.Table:
    for place, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            text = pc.replace_substring(table.column(place).cast(pa.string()), " ", "T")
            table = table.set_column(place, column.name, text)
    return table


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    desk: Desk

    def do_GET(self) -> None:
        status, document, headers = self._answer()
        self.desk.log.append((self.path, int(status)))
        body = json.dumps(document, ensure_ascii=False).encode()
        trouble = headers.pop("trouble", "none")
        self._send(status, body[: len(body) // 2] if trouble == "malformed" else body, headers, is_cut=trouble == "cut")

    def _answer(self) -> tuple[HTTPStatus, dict[str, Any], dict[str, str]]:
        if self.headers.get("Authorization") != f"Bearer {self.desk.token}":
            return HTTPStatus.UNAUTHORIZED, {"error": "a bearer token is needed"}, {"WWW-Authenticate": "Bearer"}
        address = urlsplit(self.path)
        resource = address.path.removeprefix(f"{BASE}/")
        if resource not in self.desk.tables:
            return HTTPStatus.NOT_FOUND, {"error": f"there is no {resource}; ask for {', '.join(RESOURCES)}"}, {}
        match self.desk.next_trouble():
            case "limited":
                wait = {"Retry-After": str(self.desk.trouble.retry_after)}
                return HTTPStatus.TOO_MANY_REQUESTS, {"error": "too many requests"}, wait
            case "failing":
                return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "try again later"}, {}
            case trouble:
                return *self._page(resource, parse_qs(address.query)), {"trouble": trouble}

    def _page(self, resource: str, query: dict[str, list[str]]) -> tuple[HTTPStatus, dict[str, Any]]:
        def given(name: str) -> str | None:
            return query[name][-1] if name in query else None

        try:
            limit = min(max(int(given("limit") or _DEFAULT_ROWS), 1), _MOST_ROWS)
            return HTTPStatus.OK, self.desk.page(resource, cursor=given("cursor"), since=given("since"), limit=limit)
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str], *, is_cut: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)
        self.close_connection = is_cut or self.close_connection

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the library uses
        """Stay silent: `Desk.log` remembers."""


@contextmanager
def run_desk(desk: Desk, *, port: int = 0) -> Iterator[str]:
    """Serve `desk` on the loopback interface and yield its address; port 0 takes any free one."""
    handler = type("Handler", (_Handler,), {"desk": desk})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{BASE}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
