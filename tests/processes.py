"""Processes of their own for tests, forked from one that has the slow libraries imported already: tests/fork_server.py.

A fresh interpreter spends longer on importing Dagster, dbt and MLflow than most tests spend on what they show.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ADDRESS = "TESTS_FORK_SERVER"
CLI = "from orchestration.cli import app; app()"
DBT = "from dbt.cli.main import cli; cli()"


@contextmanager
def serve() -> Iterator[None]:
    """Let this process, and those that it starts, have processes within the block; all are forked from one."""
    path = os.pathsep.join(map(str, (HERE, HERE.parent)))  # it imports from nowhere but there and its environment
    with tempfile.TemporaryDirectory(prefix="forks-") as folder, open_socket() as listener:
        os.environ[ADDRESS] = f"{folder}/socket"
        listener.bind(os.environ[ADDRESS])
        listener.listen()
        number = listener.fileno()
        command = [sys.executable, str(HERE / "fork_server.py"), str(number)]
        # its forks end with locks of dbt's still open, about which Python warns
        environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore:resource_tracker"}
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=[number]):
            yield  # the end of the block closes its standard input
        del os.environ[ADDRESS]


def prepare() -> None:
    """Have the libraries imported now, and not when the first process is asked for; does not wait for it."""
    wanted = {"environment": os.environ.copy(), "folder": HERE}
    threading.Thread(target=call, args=("pass",), kwargs=wanted, daemon=True).start()


def open_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Process:
    """A test's process: its number and, once it has ended, its exit code, below 0 when a signal ended it."""

    def __init__(self, request: Mapping[str, object]) -> None:
        self._connection = open_socket()
        self._connection.connect(os.environ[ADDRESS])
        self._connection.send(json.dumps(request).encode())
        self.pid = int(self._connection.recv(64))
        self._code: int | None = None

    @property
    def exitcode(self) -> int | None:
        self.join(0)
        return self._code

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, at most so many seconds."""
        if self._code is None and select.select([self._connection], [], [], timeout)[0]:
            self._code = int(self._connection.recv(64))
            self._connection.close()

    def kill(self) -> None:
        """End the process and whatever it has started, with no chance to tidy up."""
        os.killpg(self.pid, signal.SIGKILL)
        self.join()


def call(
    code: str, *arguments: str, environment: Mapping[str, str], folder: Path, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run `code` as `python -c` would and wait for it; what it prints is one text, errors among it."""
    with tempfile.NamedTemporaryFile(prefix="said-") as output:
        process = start(code, *arguments, environment=environment, folder=folder, output=Path(output.name))
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout, Path(output.name).read_text())
        return subprocess.CompletedProcess(arguments, process.exitcode, Path(output.name).read_text(), "")


def start(code: str, *arguments: str, environment: Mapping[str, str], folder: Path, output: Path) -> Process:
    """Start `code` in a process group of its own, which appends what it prints to `output`."""
    request = {"code": code, "arguments": arguments, "environment": {**environment}}
    return Process({**request, "folder": str(folder), "output": str(output)})
