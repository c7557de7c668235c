"""Receivers that can be told to misbehave: over HTTP, and a mail server."""

import json
import os
import signal
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """A real HTTP receiver on a loopback port that can be told to misbehave.

    Keeps every message it takes, without removing doubles; `script` holds what to do with the next requests, `always`
    what to do with all others.

    Actions: `ok`, `lose` (break the connection before taking), a status code such as 500, and, after the message was
    taken, `take_and_lose`, `take_and_kill` (the sender), `take_and_wait` (longer than anybody waits),
    `take_and_trickle` (a body that never ends), or `take_and_` with a status code.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.script: list[str] = []
        self.always = "ok"
        self.lookup_script: list[str] = []
        self.retry_after: str | None = None
        self.answer_body = b"{}"
        self.is_over = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/messages"

    @property
    def lookup(self) -> str:
        return f"{self.address}/{{key}}"


@contextmanager
def receive() -> Iterator[Receiver]:
    """Yield a receiver that serves within the block."""
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield receiver
    receiver.is_over = True
    receiver.shutdown()
    receiver.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(("POST", dict(self.headers)))
        action = self.server.script.pop(0) if self.server.script else self.server.always
        if self.headers["Moment"] == "during":
            action = "take_and_kill"
        if action == "ok" or action.startswith("take_and"):
            self.server.bodies.append(json.loads(raw))
            self.server.taken.append(self.headers["Idempotency-Key"])
        self._react(action.removeprefix("take_and_"))

    def _react(self, action: str) -> None:
        match action:
            case "kill":
                os.kill(int(self.headers["Sender"]), signal.SIGKILL)
                self.close_connection = True
            case "lose":
                self.close_connection = True
            case "wait":
                while not self.server.is_over:
                    time.sleep(0.05)
            case "trickle":
                self._trickle()
            case _:
                self._answer(201 if action == "ok" else int(action))

    def _trickle(self) -> None:
        self.send_response(201)
        self.end_headers()
        while not self.server.is_over:
            try:
                self.wfile.write(b".")
                self.wfile.flush()
            except OSError:
                break
            time.sleep(0.05)
        self.close_connection = True

    def do_GET(self) -> None:
        self.server.requests.append(("GET", dict(self.headers)))
        action = self.server.lookup_script.pop(0) if self.server.lookup_script else "ok"
        if action != "ok":
            self._answer(int(action))
            return
        self._answer(200 if self.path.rsplit("/", 1)[-1] in self.server.taken else 404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if self.server.retry_after is not None:
            self.send_header("Retry-After", self.server.retry_after)
        if 300 <= status < 400:
            self.send_header("Location", self.server.address)
        self.send_header("Content-Length", str(len(self.server.answer_body)))
        self.end_headers()
        self.wfile.write(self.server.answer_body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class MailServer(socketserver.ThreadingTCPServer):
    """A real mail server on a loopback port; `answers` replaces its usual answer to a command.

    An answer of "lose" breaks the connection; "wait" never answers; "endless" never ends its answer.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.letters: list[str] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}
        self.is_over = False


class _MailHandler(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline():
            command = line.decode().strip().split(" ")[0].split(":")[0].upper()
            if command == "RCPT":
                self.server.recipients.append(line.decode().strip())
            if command == "QUIT" or not self._answer(command):
                return
            if command == "DATA" and "DATA" not in self.server.answers:
                self.server.letters.append(self._read_letter())
                if not self._answer("END"):
                    return

    def _read_letter(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.decode())
        return "".join(lines)

    def _answer(self, command: str) -> bool:
        usual = {"DATA": "354 go on", "END": "250 queued as 77"}.get(command, "250 fine")
        answer = self.server.answers.get(command, usual)
        if answer == "lose":
            return False
        while answer in {"wait", "endless"} and not self.server.is_over:
            if answer == "endless":
                self._say("250-more")
            time.sleep(0.05)
        self._say(answer)
        return True

    def _say(self, text: str) -> None:
        try:
            self.wfile.write(f"{text}\r\n".encode())
        except OSError:
            self.server.is_over = True
