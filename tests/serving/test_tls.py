"""TLS: beyond loopback nothing else is served, and cookies are sent by it alone."""

import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
from certificates import write_certificate

from serving.__main__ import configure, read_arguments
from serving.desk.visit import Desk

NEEDED = ["--snapshot", "published.duckdb", "--company", "company.yaml"]


@pytest.mark.parametrize("wrong", [["--host", "0.0.0.0"], ["--certificate", "c.pem"], ["--key", "k.pem"]])
def test_beyond_loopback_and_with_half_a_certificate_nothing_is_served(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read_arguments([*NEEDED, *wrong])
    assert "pass --certificate and --key" in capsys.readouterr().err


def test_a_desk_with_a_certificate_is_asked_by_tls_and_its_cookies_are_sent_by_nothing_else(
    desk: Desk, tmp_path: Path
) -> None:
    import uvicorn

    certificate, key = write_certificate(tmp_path)
    given = read_arguments([*NEEDED, "--port", "0", "--certificate", str(certificate), "--key", str(key)])
    server = uvicorn.Server(configure(given, desk))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        trusted = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.get(f"https://127.0.0.1:{port}/sign-in", verify=trusted)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/sign-in")
    finally:
        server.should_exit = True
        thread.join()
    cookies = answer.headers.get_list("set-cookie")
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert (len(cookies) > 0, all(cookie.endswith("; Secure") for cookie in cookies)) == (True, True)
