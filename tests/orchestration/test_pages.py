"""Pages come up however busy the machine is, and no process stays behind, however they end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestration.pages import find_port

# A page with a child of its own, as Dagster has a code server and MLflow has workers.
PAGE = """
import http.server, pathlib, subprocess, sys, os
folder, name, port = sys.argv[1:]
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"])
pathlib.Path(folder, name + ".pids").write_text(f"{os.getpid()} {child.pid}")
http.server.HTTPServer(("127.0.0.1", int(port)), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
STUBBORN = "import signal, sys; [signal.signal(each, signal.SIG_IGN) for each in (2, 15)]\n" + PAGE
SUPERVISE = """
import json, os, sys
from pathlib import Path
from rich.console import Console
from orchestration.processes import Program, supervise
programs = [Program(**each, log=Path(os.devnull), environment=os.environ) for each in json.loads(sys.argv[1])]
sys.exit(0 if supervise(programs, console=Console(), grace=2) else 1)
"""
BUSY = [sys.executable, "-S", "-c", "while True: pass"]


@dataclass
class Started:
    """A supervisor with two pages, and the processes that belong to it."""

    supervisor: subprocess.Popen[str]
    folder: Path
    lines: list[str] = field(default_factory=list)

    def pids(self, name: str) -> list[int]:
        return [int(pid) for pid in (self.folder / f"{name}.pids").read_text().split()]

    def left_behind(self) -> list[int]:
        """The processes that still live after a while in which they may end."""
        deadline = time.monotonic() + 10
        while (alive := [pid for name in ("one", "two") for pid in self.pids(name) if is_alive(pid)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.1)
        return alive


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", maxsplit=1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def _busy_machine() -> Iterator[None]:
    load = [subprocess.Popen(BUSY) for _ in range(os.cpu_count() or 1)]
    yield
    for each in load:
        each.kill()
        each.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Started]]:
    running: list[Started] = []

    def start(page: str = PAGE) -> Started:
        programs = []
        for name in ("one", "two"):
            port = find_port(0)
            command = [sys.executable, "-S", "-c", page, str(tmp_path), name, str(port)]
            programs.append({"name": name, "command": command, "port": port})
        supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, json.dumps(programs)], stdout=subprocess.PIPE, text=True
        )
        started = Started(supervisor, tmp_path)
        running.append(started)
        assert supervisor.stdout is not None
        for line in supervisor.stdout:
            started.lines.append(line.strip())
            if "Everything is up" in line:
                return started
        raise AssertionError(started.lines)

    yield start
    for each in running:
        each.supervisor.kill()
        each.supervisor.wait()


@pytest.mark.usefixtures("_busy_machine")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_end_it_leaves_no_process_behind(start: Callable[..., Started], number: signal.Signals) -> None:
    started = start()
    started.supervisor.send_signal(number)
    said, _ = started.supervisor.communicate(timeout=20)
    assert (started.supervisor.returncode, said.strip(), started.left_behind()) == (0, "Stopping.", [])


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_death_of_one_page_ends_all(start: Callable[..., Started], name: str) -> None:
    started = start()
    os.kill(started.pids(name)[0], signal.SIGKILL)
    said, _ = started.supervisor.communicate(timeout=20)
    assert (started.supervisor.returncode, f"{name} ended" in said, started.left_behind()) == (1, True, [])


def test_killed_without_a_chance_to_clean_up_it_leaves_no_process_behind(start: Callable[..., Started]) -> None:
    started = start()
    started.supervisor.kill()
    assert started.left_behind() == []


def test_pages_that_ignore_the_request_are_killed(start: Callable[..., Started]) -> None:
    started = start(STUBBORN)
    started.supervisor.terminate()
    started.supervisor.communicate(timeout=20)
    assert started.left_behind() == []


def test_a_page_that_never_answers_is_waited_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from orchestration import processes

    monkeypatch.setattr(processes, "REMINDER_SECONDS", 0.3)
    command = [sys.executable, "-S", "-c", "import time; time.sleep(2)"]
    slow = processes.Program(
        name="slow", command=command, log=tmp_path / "slow.log", port=find_port(0), environment=os.environ
    )
    assert processes.supervise([slow], console=Console(width=100)) is False
    said = capsys.readouterr().out
    assert ("Waiting for slow since" in said, "slow ended" in said) == (True, True)


def test_what_nobody_waits_for_lets_the_others_go_first(tmp_path: Path) -> None:
    from orchestration.processes import NIGHTLY, Processes, Program

    command = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    rest = {"command": command, "log": tmp_path / "log", "environment": os.environ}
    with Processes(grace=2) as processes:
        processes.start(Program(name="page", **rest))
        processes.start(Program(name="night", niceness=NIGHTLY, **rest))
        page, night = (os.getpriority(os.PRIO_PROCESS, each.pid) for each in processes.running.values())
    assert night == min(page + NIGHTLY, 19)
