"""Dagster's pages answer their own pages and programs, and no other site's."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUERY = "/graphql?query=%7Bversion%7D"
DELETE = '{"query": "mutation { deletePipelineRun(runId: \\"x\\") { __typename } }"}'
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real web server of Dagster with an empty code location."""
    home = tmp_path_factory.mktemp("webserver")
    (home / "empty.py").write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "orchestration.webserver", "-f", str(home / "empty.py"), "-p", str(free)]
    environment = os.environ | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT)}
    log = (home / "log.txt").open("wb")
    server = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while ask(free, "GET", "/server_info")[0] != 200:
            assert server.poll() is None, (home / "log.txt").read_text()
            assert time.monotonic() < deadline, (home / "log.txt").read_text()
            time.sleep(0.2)
        yield free
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None, body: str = "") -> tuple[int, str]:
    """Return status and text of an answer; 0 while nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=body or None, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()


def test_a_program_and_the_server_s_own_page_may_ask_and_change(port: int) -> None:
    own = f"http://127.0.0.1:{port}"
    status, said = ask(port, "POST", "/graphql", JSON, '{"query": "{version}"}')
    assert (status, list(json.loads(said)["data"])) == (200, ["version"])
    status, said = ask(port, "POST", "/graphql", JSON | {"Origin": own, "Sec-Fetch-Site": "same-origin"}, DELETE)
    assert (status, json.loads(said)["data"]["deletePipelineRun"]["__typename"]) == (200, "RunNotFoundError")
    assert ask(port, "GET", "/")[0] == 200


@pytest.mark.parametrize("path", [QUERY, QUERY.replace("?", "/?")])
def test_a_link_can_ask_nothing_of_graphql(port: int, path: str) -> None:
    status, said = ask(port, "GET", path)
    assert (status, "asked by POST" in said) == (403, True)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "", "evil@"])
def test_a_foreign_host_name_is_refused(port: int, host: str) -> None:
    status, said = ask(port, "GET", "/", {"Host": host})
    assert (status, "its own name" in said) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(port: int, headers: dict[str, str]) -> None:
    status, said = ask(port, "POST", "/graphql", JSON | headers, DELETE)
    assert (status, "another site" in said) == (403, True)


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("", 101)])
def test_a_web_socket_is_opened_to_the_server_s_own_pages_alone(port: int, origin: str, status: int) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "graphql-ws",
        "Origin": origin or f"http://127.0.0.1:{port}",
    }
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/graphql", headers=headers)
    answer = connection.getresponse()
    connection.close()
    assert answer.status == status


def test_no_other_site_shows_a_page_inside_of_its_own(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    framing = answer.getheader("X-Frame-Options")
    connection.close()
    assert framing == "SAMEORIGIN"
