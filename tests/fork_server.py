"""The process that test processes are forked from; it ends when its standard input does.

It imports the slow libraries and parses the dbt project when the first process is asked for, once for all processes of
pytest. Who asks for a process connects to the socket, whose file number is the argument, and sends what to run; the
answers are the process's number and, at its end, its exit code.
"""

import atexit
import gc
import json
import multiprocessing
import os
import select
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = [
    "dagster._core.storage.event_log", "dbt.cli.main", "duckdb", "great_expectations", "mlflow",
    "mlflow.store.tracking.sqlalchemy_store", "sklearn.ensemble", "sklearn.pipeline", "sqlglot.lineage", "xgboost",
]  # fmt: skip
PARSED = "parsed_project"
LARGEST = 1 << 20  # bytes of what to run


def main(listener: socket.socket) -> None:
    """Serve connections until the standard input ends."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        with suppress(ChildProcessError):  # there is none yet
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            return
        with listener.accept()[0] as connection:
            if PARSED not in sys.modules:
                prepare()
            if not os.fork():
                wait(connection)


def prepare() -> None:
    """Import and parse what all processes need; none of them then looks through it for garbage time and again."""
    for name in [*LIBRARIES, PARSED]:
        import_module(name)
    gc.collect()
    gc.freeze()


def wait(connection: socket.socket) -> None:
    """Start one process, answer for it, and end."""
    process = multiprocessing.get_context("fork").Process(target=run, kwargs=json.loads(connection.recv(LARGEST)))
    process.start()
    connection.send(str(process.pid).encode())
    process.join()
    connection.send(str(process.exitcode).encode())
    os._exit(0)


def run(*, code: str, arguments: list[str], environment: dict[str, str], folder: str, output: str) -> None:
    """Run `code` as `python -c` would, in a process group of its own."""
    assert PARSED in sys.modules, "the process that this one was forked from has not parsed the project"
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sink = Path(output).open("a", buffering=1)  # noqa: SIM115 - the last words of an error go there, too
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(sink.fileno(), 1)
    os.dup2(sink.fileno(), 2)
    sys.stdout = sys.stderr = sink
    sys.argv = ["-c", *arguments]
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(code, "<test>", "exec"), names)
    finally:
        atexit._run_exitfuncs()  # a forked process leaves without them: DuckDB would not write its log back


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
