"""The desk, Dagster's, MLflow's and dbt's web pages on loopback, and the daemon that runs schedules and sensors."""

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from orchestration.deployment import Deployment
from orchestration.processes import LOOPBACK, NIGHTLY, Program, supervise
from orchestration.published import published_in
from orchestration.resources import open_store
from orchestration.settings import Settings
from serving.lane.log import log_file
from serving.sign_in.users import Users

WORKSPACE = Path(__file__).parent.parent / "workspace.yaml"


def serve(deployment: Deployment, *, console: Console) -> bool:
    """Serve the pages until Ctrl-C, a request to terminate, or the end of one of them; return whether it was asked."""
    console.print("Starting the desk, Dagster with its schedules and sensors, MLflow and dbt's docs.")
    deployment.dbt.write_docs()
    return supervise(list_programs(deployment.settings, link=make_first_link(deployment)), console=console)


def make_first_link(deployment: Deployment) -> str | None:
    """Return the path on the desk by which its first administrator chooses a password; None once there is one."""
    with open_store(deployment.settings) as store:
        store.migrate()
        secret = Users(store.database, deployment.policy.desk.sign_in).make_first_link(at=datetime.now(UTC))
    return None if secret is None else f"/link/{secret}"


def list_programs(settings: Settings, *, link: str | None) -> list[Program]:
    """Return the programs. Of the instance's files only the folder of dbt's docs is served."""
    wanted = {"desk": 8000, "dagster": 3000, "mlflow": 5000, "docs": 8080, "inbox": 8090}
    ports = {name: find_port(port) for name, port in wanted.items()}
    scripts, logs, workspace = Path(sys.executable).parent, settings.home / "logs", ["--workspace", str(WORKSPACE)]
    logs.mkdir(parents=True, exist_ok=True)
    environment = {
        **settings.environment,
        "HOLDFAST_DOCS_URL": f"http://{LOOPBACK}:{ports['docs']}/index.html",  # where Dagster's pages link to
        "HOLDFAST_REGISTRY_URL": f"http://{LOOPBACK}:{ports['mlflow']}",
        "HOLDFAST_WEBSERVER_URL": f"http://{LOOPBACK}:{ports['dagster']}",
    }

    def program(name: str, file: str, *command: str, port: int | None = None, niceness: int = 0) -> Program:
        log = logs / f"{file}.log"
        return Program(name=name, command=command, log=log, port=port, niceness=niceness, environment=environment)

    def address(name: str) -> list[str]:
        return ["--host", LOOPBACK, "--port", str(ports[name])]

    python, artifacts = sys.executable, str(settings.home / "mlflow" / "artifacts")
    registry = ["--backend-store-uri", settings.tracking_uri, "--artifacts-destination", artifacts, "--workers", "1"]
    dagster = [python, "-m", "orchestration.webserver", *workspace, *address("dagster")]
    inbox = [python, "-m", "orchestration.gateway", "--port", str(ports["inbox"])]
    docs = [python, "-m", "http.server", str(ports["docs"]), "--bind", LOOPBACK, "--directory"]
    desk = [python, "-m", "orchestration.desk", "--port", str(ports["desk"]), "--company", str(settings.company_file)]
    desk += ["--snapshot", str(published_in(settings.home).path)]
    return [
        Program(
            name="Desk",
            command=desk,
            log=logs / "desk.log",
            port=ports["desk"],
            page=link or "",
            note=" (choose the administrator's password; the link works once)" if link else "",
            environment={**environment, "HOLDFAST_OPERATIONAL_URL": settings.operational_url},
        ),
        program("Dagster", "dagster", *dagster, port=ports["dagster"]),
        program("Dagster's daemon", "daemon", str(scripts / "dagster-daemon"), "run", *workspace, niceness=NIGHTLY),
        program(
            "MLflow", "mlflow", str(scripts / "mlflow"), "server", *registry, *address("mlflow"), port=ports["mlflow"]
        ),
        program("Inbox", "inbox", *inbox, port=ports["inbox"]),
        program("dbt docs", "docs", *docs, str(settings.home / "docs"), port=ports["docs"]),
        *list_lane(settings),
    ]


def list_lane(settings: Settings) -> list[Program]:
    """Return the two programs of the event lane: the collector, and what follows its log."""
    logs, port = settings.home / "logs", find_port(8010)
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**settings.environment, "HOLDFAST_OPERATIONAL_URL": settings.operational_url}
    python = [sys.executable, "-m", "orchestration.lane"]
    files = ["--log", str(log_file(settings.home)), "--company", str(settings.company_file)]
    collect = [*python, "collect", *files, "--port", str(port)]
    follow = [*python, "follow", *files, "--snapshot", str(published_in(settings.home).path)]
    return [
        Program(
            name="Collector of events", command=collect, log=logs / "collector.log", port=port, page="/v1/events",
            note=" (POST with a key; docs/lane.md)", environment=environment,
        ),
        Program(name="Event lane", command=follow, log=logs / "lane.log", environment=environment),
    ]  # fmt: skip


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
