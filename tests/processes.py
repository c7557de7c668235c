"""Processes of their own for tests, forked from one that has the slow libraries imported already.

A fresh interpreter spends longer on importing Dagster, dbt and MLflow than most tests spend on what they show.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIBRARIES = ["dagster", "dbt.cli.main", "duckdb", "great_expectations", "mlflow", "sklearn.pipeline", "xgboost"]
PARSED = "parsed_project"  # an import is the only way to have something done before a fork server forks
CLI = "from orchestration.cli import app; app()"
DBT = "from dbt.cli.main import cli; cli()"
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([*LIBRARIES, PARSED])


def call(
    code: str, *arguments: str, environment: Mapping[str, str], folder: Path, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run `code` as `python -c` would and wait for it; what it prints is one text, errors among it."""
    with tempfile.NamedTemporaryFile(prefix="said-") as output:
        process = start(code, *arguments, environment=environment, folder=folder, output=Path(output.name))
        process.join(timeout)
        if process.exitcode is None:
            kill(process)
            raise subprocess.TimeoutExpired(arguments, timeout, Path(output.name).read_text())
        return subprocess.CompletedProcess(arguments, process.exitcode, Path(output.name).read_text(), "")


def start(code: str, *arguments: str, environment: Mapping[str, str], folder: Path, output: Path) -> BaseProcess:
    """Start `code` in a process group of its own, which appends what it prints to `output`."""
    _start_server()
    process = _forks.Process(target=_run, args=(code, arguments, dict(environment), str(folder), str(output)))
    process.start()
    return process


def _start_server() -> None:
    """Start the process to fork from unless it runs; it imports from nowhere but the path of its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE, HERE.parent))))
        forkserver.ensure_running()


def kill(process: BaseProcess) -> None:
    """End a process and whatever it has started, with no chance to tidy up."""
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.join()


def _run(code: str, arguments: tuple[str, ...], environment: dict[str, str], folder: str, output: str) -> None:
    assert PARSED in sys.modules, "the process that this one was forked from has not parsed the project"
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sink = Path(output).open("a", buffering=1)  # noqa: SIM115 - the last words of an error go there, too
    os.dup2(sink.fileno(), 1)
    os.dup2(sink.fileno(), 2)
    sys.stdout = sys.stderr = sink
    sys.argv = ["-c", *arguments]
    try:
        exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # a forked process leaves without them: DuckDB would not write its log back
