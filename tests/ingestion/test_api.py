"""HTTP APIs, against a real server on this machine that fails in every way a real one does."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ingestion.readers.rest import ApiReader

if TYPE_CHECKING:
    from conftest import Shop

PAGE = 2


@dataclass
class Desk:
    """A service desk: cases by the time of their last change, pages by cursor, and mishaps one per request."""

    cases: list[dict[str, Any]] = field(default_factory=list)
    mishaps: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    url: str = ""

    def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        since, start = query.get("since", [""])[0], int(query.get("cursor", ["0"])[0])
        found = [case for case in self.cases if case["changed"] >= since]
        following = str(start + PAGE) if start + PAGE < len(found) else None
        return {"data": found[start : start + PAGE], "next_cursor": following}


class Handler(BaseHTTPRequestHandler):
    """Answers for the desk that its server carries."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        desk: Desk = self.server.desk
        desk.asked.append(self.path)
        asked = urlsplit(self.path)
        if self.headers["Authorization"] != "Bearer open-sesame":
            self.answer(401, b"{}")
        elif asked.path != "/tickets":
            self.answer(404, b"{}")
        else:
            body = json.dumps(desk.page(parse_qs(asked.query))).encode()
            self.happen(desk.mishaps.pop(0) if desk.mishaps else "", body)

    def happen(self, mishap: str, body: bytes) -> None:
        match mishap:
            case "429":
                self.answer(429, b"{}", wait="1")
            case "500" | "503":
                self.answer(int(mishap), b"{}")
            case "cut":
                self.answer(200, body[: len(body) // 2], length=len(body))
                self.close_connection = True
            case "half":
                self.answer(200, body[: len(body) // 2])
            case "refused":
                self.answer(200, b'{"data": [], "error": "too many requests"}')
            case "none":
                self.answer(200, b'{"data": null, "next_cursor": null}')
            case "hollow":
                self.answer(200, json.dumps({"data": [], "next_cursor": str(len(desk_of(self).asked) * 1000)}).encode())
            case "gap":
                self.answer(200, json.dumps({"data": [case(1), None, 7], "next_cursor": None}).encode())
            case "strange":
                self.answer(200, b'{"error": "try again"}')
            case _:
                self.answer(200, body)

    def answer(self, status: int, body: bytes, *, length: int | None = None, wait: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        if wait:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def desk_of(handler: BaseHTTPRequestHandler) -> Desk:
    found: Desk = handler.server.desk
    return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.desk = made
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def shop_with_desk(shop: "Shop", desk: Desk, monkeypatch: pytest.MonkeyPatch) -> "Shop":
    """Connect the desk as `tickets`; waits between attempts are noted and not sat through."""
    monkeypatch.setattr("time.sleep", desk.waited.append)
    shop.secrets["DESK_TOKEN"] = "open-sesame"
    shop.document["sources"]["desk"] = {"reader": "rest", "url": desk.url, "token": "DESK_TOKEN"}
    shop.document["tables"]["tickets"] = {
        "source": "desk",
        "from": "tickets",
        "incremental": "changed",
        "columns": {
            "ticket_id": "id",
            "customer_id": "who.customer",
            "opened_at": "opened",
            "satisfaction": "stars",
            "body": "said",
        },
    }
    desk.cases += [case(number) for number in range(1, 6)]
    return shop


def case(number: int, **more: object) -> dict[str, Any]:
    opened = f"2024-01-{number:02d}T10:00:00+01:00"
    return {"id": number, "who": {"customer": f"c{number}"}, "opened": opened, "changed": opened, "said": "oh", **more}


def landed(shop: "Shop") -> list[tuple[Any, ...]]:
    return shop.rows("select ticket_id, customer_id, opened_at::varchar, satisfaction from raw_desk.tickets order by 1")


EXPECTED = [(str(n), f"c{n}", f"2024-01-{n:02d} 09:00:00", None) for n in range(1, 6)]


def test_every_page_lands_once(shop_with_desk: "Shop", desk: Desk) -> None:
    report = shop_with_desk.land("tickets")
    assert (report.rows_in, report.rows_landed, len(desk.asked)) == (5, 5, 3)
    assert landed(shop_with_desk) == EXPECTED


@pytest.mark.parametrize("mishap", ["429", "500", "503", "cut", "half", "strange", "refused"])
def test_a_request_that_fails_is_asked_again_and_nothing_is_lost_or_doubled(
    shop_with_desk: "Shop", desk: Desk, mishap: str
) -> None:
    desk.mishaps += ["", mishap, "", mishap, mishap]
    report = shop_with_desk.land("tickets")
    assert (report.rows_in, report.rows_landed, len(desk.asked)) == (5, 5, 6)
    assert landed(shop_with_desk) == EXPECTED


def test_the_wait_is_as_long_as_the_server_says_and_else_it_doubles(shop_with_desk: "Shop", desk: Desk) -> None:
    desk.mishaps += ["429", "429", "500", "500", "500"]
    shop_with_desk.land("tickets")
    assert desk.waited == [1, 1, 2, 4, 8]


def test_only_what_changed_since_the_last_landing_is_asked_for(shop_with_desk: "Shop", desk: Desk) -> None:
    shop_with_desk.land("tickets")
    desk.cases[0] = case(1, changed="2024-02-01T10:00:00+01:00", stars=4)
    desk.cases.append(case(6, changed="2024-02-02T10:00:00+01:00"))
    desk.asked.clear()
    report = shop_with_desk.land("tickets", batch="b2")
    assert desk.asked == ["/tickets?since=2024-01-05T10%3A00%3A00%2B01%3A00", desk.asked[1]]
    assert (report.rows_in, report.rows_landed, report.rows_duplicate) == (3, 2, 1)
    assert landed(shop_with_desk) == [
        ("1", "c1", "2024-01-01 09:00:00", 4),
        *EXPECTED[1:],
        ("6", "c6", "2024-01-06 09:00:00", None),
    ]


def test_a_landing_with_nothing_new_is_skipped(shop_with_desk: "Shop", desk: Desk) -> None:
    shop_with_desk.land("tickets")
    again = shop_with_desk.land("tickets", batch="b2")
    desk.cases.clear()
    empty = shop_with_desk.land("tickets", batch="b3")
    assert [(report.rows_in, report.skipped) for report in (again, empty)] == [(1, True), (0, True)]
    assert landed(shop_with_desk) == EXPECTED


def test_a_server_that_keeps_failing_is_named_and_leaves_nothing_behind_until_it_recovers(
    shop_with_desk: "Shop", desk: Desk
) -> None:
    desk.mishaps += ["", *["500"] * 6]
    said = shop_with_desk.refused("tickets")
    assert "tables.tickets.from: the server answered with HTTP 500. Try again later." in said
    assert shop_with_desk.rows("select * from duckdb_tables() where schema_name = 'raw_desk'") == []
    shop_with_desk.land("tickets")
    assert landed(shop_with_desk) == EXPECTED


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"token": "NO_TOKEN"}, ["sources.desk.token", "`NO_TOKEN` is not set"]),
        ({"rows_path": "items"}, ["tables.tickets.from", "no list at `items`", "`rows_path`"]),
        ({"cursor_param": "page"}, ["tables.tickets.from", "goes round in circles"]),
        ({"url": "http://127.0.0.1:1"}, ["tables.tickets.from", "does not answer", "`url`"]),
        ({"url": "nowhere"}, ["tables.tickets.from", "`url`"]),
    ],
)
def test_an_api_that_is_described_wrongly_is_named_with_its_mend(
    shop_with_desk: "Shop", change: dict[str, str], parts: list[str]
) -> None:
    shop_with_desk.document["sources"]["desk"] |= change
    said = shop_with_desk.refused("tickets")
    assert ([part for part in parts if part not in said], "\n" in said, "open-sesame" in said) == ([], False, False)


def test_a_wrong_token_and_a_wrong_path_are_named(shop_with_desk: "Shop") -> None:
    shop_with_desk.document["tables"]["tickets"]["from"] = "tickest"
    assert "HTTP 404. Check the path in `from`." in shop_with_desk.refused("tickets")
    shop_with_desk.secrets["DESK_TOKEN"] = "friend"
    assert "refused the token (HTTP 401). Check the token in `DESK_TOKEN`." in shop_with_desk.refused("tickets")


def test_a_null_list_is_the_end(shop_with_desk: "Shop", desk: Desk) -> None:
    desk.mishaps += ["none"]
    assert (shop_with_desk.land("tickets").rows_in, len(desk.asked)) == (0, 1)


def test_empty_pages_with_ever_new_cursors_come_to_an_end(shop_with_desk: "Shop", desk: Desk) -> None:
    desk.mishaps += ["", *["hollow"] * 50]
    assert (shop_with_desk.land("tickets").rows_in, len(desk.asked)) == (2, 4)


def test_an_element_that_is_no_row_is_one_bad_row(shop_with_desk: "Shop", desk: Desk) -> None:
    desk.mishaps += ["gap"]
    report = shop_with_desk.land("tickets")
    assert (report.rows_in, report.rows_landed, report.reasons) == (3, 1, {"ticket_id: missing": 2})


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/tickets", "//elsewhere.example/tickets"])
def test_an_address_of_another_host_never_gets_the_token(shop_with_desk: "Shop", desk: Desk, address: str) -> None:
    shop_with_desk.document["tables"]["tickets"]["from"] = address
    assert "tables.tickets.from: an address of its own" in shop_with_desk.refused("tickets")
    assert desk.asked == []


def test_a_token_is_stripped_and_never_shown(shop_with_desk: "Shop") -> None:
    shop_with_desk.secrets["DESK_TOKEN"] = " open-sesame\n"
    assert shop_with_desk.land("tickets").rows_landed == 5
    shop_with_desk.secrets["DESK_TOKEN"] = "open\nsesame"
    said = shop_with_desk.refused("tickets")
    assert ("`DESK_TOKEN` holds signs that no token has" in said, "sesame" in said) == (True, False)


def test_the_number_of_attempts_is_six() -> None:
    assert ApiReader.attempts == 6
