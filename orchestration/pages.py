"""Dagster's, MLflow's and dbt's web pages on loopback, as children of this process."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from orchestration.deployment import Deployment
from orchestration.settings import Settings

ROOT = Path(__file__).parent.parent
LOOPBACK = "127.0.0.1"


def serve(deployment: Deployment, *, console: Console) -> None:
    """Start the pages and the daemon that runs schedules and sensors.

    Ends, with all of them, on Ctrl-C, when it is asked to terminate, or when one of them dies.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ports = {"Dagster": find_port(3000), "MLflow": find_port(5000), "dbt docs": find_port(8080)}
    deployment.dbt.write_docs()
    settings = deployment.settings
    home = settings.home
    children = [
        subprocess.Popen(  # noqa: S603 - our own programs, fixed arguments
            command, cwd=ROOT, env={**settings.environment}, stdout=log.open("ab"), stderr=subprocess.STDOUT
        )
        for log, command in commands(settings, ports).items()
    ]
    try:
        for name, port in ports.items():
            _wait_for(port)
            console.print(f"{name}: http://{LOOPBACK}:{port}")
        console.print("Schedules and sensors are on. Ctrl-C stops everything.")
        while all(child.poll() is None for child in children):
            time.sleep(1)
        console.print(f"One of the pages stopped; its words are in {home / 'logs'}.", style="red")
    except KeyboardInterrupt:
        console.print("Stopping.")
    finally:
        for child in children:
            child.send_signal(signal.SIGINT)
        for child in children:
            child.wait(timeout=20)


def commands(settings: Settings, ports: Mapping[str, int]) -> dict[Path, list[str]]:
    """Return the processes and the log each writes to. Of the instance only the folder of dbt's docs is served."""
    home = settings.home
    bin_, logs = Path(sys.executable).parent, home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    workspace = ["--workspace", str(ROOT / "workspace.yaml")]
    # the page of Dagster links to dbt's docs where they are served
    environment = ["env", f"HOLDFAST_DOCS_URL=http://{LOOPBACK}:{ports['dbt docs']}/index.html"]
    web = [
        *environment,
        sys.executable,
        "-m",
        "orchestration.webserver",
        *workspace,
        "--host",
        LOOPBACK,
        "--port",
        str(ports["Dagster"]),
    ]
    daemon = [str(bin_ / "dagster-daemon"), "run", *workspace]
    mlflow = [str(bin_ / "mlflow"), "server", "--backend-store-uri", settings.tracking_uri]
    mlflow += ["--host", LOOPBACK, "--port", str(ports["MLflow"]), "--workers", "1"]
    mlflow += ["--artifacts-destination", str(home / "mlflow" / "artifacts")]
    docs = [sys.executable, "-m", "http.server", str(ports["dbt docs"]), "--bind", LOOPBACK]
    docs += ["--directory", str(home / "docs")]
    return {
        logs / "dagster.log": web,
        logs / "daemon.log": daemon,
        logs / "mlflow.log": mlflow,
        logs / "docs.log": docs,
    }


def find_port(wanted: int) -> int:
    """Return `wanted` when it is free on loopback, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("No free port on loopback.")


def _wait_for(port: int, *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.3)
    raise TimeoutError(f"Nothing answers on port {port} after {seconds:.0f} s.")
