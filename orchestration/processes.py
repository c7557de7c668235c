"""Programs that live and die together: all end when one ends, when they are asked to, or when their parent dies."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

LOOPBACK = "127.0.0.1"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 15.0
REMINDER_SECONDS = 30.0
PAUSE_SECONDS = 0.2
NIGHTLY = 5  # niceness of what nobody waits for at a page
# Reads process groups until its parent closes the pipe, which the parent's death does too, and then ends them.
WATCHDOG = """
import os, signal, sys, time
groups = [int(line) for line in sys.stdin]
for number in (signal.SIGTERM, signal.SIGKILL):
    for group in groups:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            pass
    if number == signal.SIGTERM:
        time.sleep(float(sys.argv[1]))
"""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to run: what a person calls it, its command, where its output goes, the port it answers on, if any.

    `page` is the path that a person opens first, `note` what they should know of it. `niceness` above 0 lets the others
    go first.
    """

    name: str
    command: Sequence[str]
    log: Path
    port: int | None = None
    page: str = ""
    note: str = ""
    niceness: int = 0
    environment: Mapping[str, str]

    @property
    def address(self) -> str:
        """The address of its page."""
        return f"http://{LOOPBACK}:{self.port}{self.page}"

    def answers(self) -> bool:
        """Tell whether something accepts connections on its port."""
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0


class Processes:
    """Running programs, each in a process group of its own; the block's end takes all groups down.

    A watchdog process takes them down when this process dies without reaching that end.
    """

    def __init__(self, *, grace: float = GRACE_SECONDS) -> None:
        """Give programs `grace` seconds between being asked to end and being killed."""
        self.grace = grace
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start the watchdog."""
        command = [sys.executable, "-S", "-E", "-c", WATCHDOG, str(self.grace)]
        self._watchdog = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End every group: ask, wait, kill what is left."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)
        for process in self.running.values():
            process.wait()
        self._watchdog.kill()
        self._watchdog.communicate()

    def start(self, program: Program) -> None:
        """Start a program."""
        with program.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs, fixed arguments
                program.command,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + program.niceness)
        self.running[program.name] = process
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{process.pid}\n".encode())
            self._watchdog.stdin.flush()

    def find_ended(self) -> str | None:
        """Return the name of a program that has ended, None while all run."""
        return next((name for name, process in self.running.items() if process.poll() is not None), None)

    def _signal(self, number: signal.Signals) -> None:
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def supervise(programs: Sequence[Program], *, console: Console, grace: float = GRACE_SECONDS) -> bool:
    """Run programs until a signal asks for their end or one of them ends; no process is left behind.

    Reports each page as it answers and, while it waits, what it waits for. Returns whether a signal asked.
    """
    is_asked = threading.Event()
    with ExitStack() as stack:
        for number in STOP_SIGNALS:
            before = signal.signal(number, lambda *_: is_asked.set())
            stack.callback(signal.signal, number, before)
        processes = stack.enter_context(Processes(grace=grace))
        for program in programs:
            processes.start(program)
        ended = _watch(processes, [each for each in programs if each.port is not None], is_asked, console)
        logs = {each.name: each.log for each in programs}
        reason = f"{ended} ended; what it reported is in {logs[ended]}." if ended else "Stopping."
        console.print(reason, style="red" if ended else None, soft_wrap=True)
    return ended is None


def _watch(processes: Processes, pages: Sequence[Program], is_asked: threading.Event, console: Console) -> str | None:
    """Wait for every page to answer and then for an end; return the name of the program that ended by itself."""
    waiting, begun, reminded = list(pages), time.monotonic(), time.monotonic()
    while not is_asked.wait(PAUSE_SECONDS):
        ended = processes.find_ended()
        if ended is not None:
            return ended
        if not waiting:
            continue
        for page in [each for each in waiting if each.answers()]:
            console.print(f"{page.name}: {page.address}{page.note}", soft_wrap=True)
            waiting.remove(page)
        if not waiting:
            first = f"{pages[0].address}{pages[0].note}"
            console.print(f"Everything is up; Ctrl-C stops everything. Begin here: {first}", soft_wrap=True)
        elif time.monotonic() - reminded > REMINDER_SECONDS:
            reminded = time.monotonic()
            names = ", ".join(each.name for each in waiting)
            console.print(f"Waiting for {names} since {reminded - begun:.0f} s.", soft_wrap=True)
    return None
