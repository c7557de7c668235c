"""Imported by a run in a test: what it would make as every other first run does is there already.

Its dbt worker is forked from the process that has parsed the project, and its model registry's tables are a copy. What
runs is the product's own worker, which tests/orchestration/test_dbt_worker.py starts as the product does. A test that
kills a run with all it started does without: the worker is in another process group.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

import processes

import orchestration.dbt
import orchestration.resources
from ml.registry import create_database

TABLES = Path(os.environ[processes.ADDRESS]).with_name("mlflow.db")
NOWHERE = "file:///nowhere"

WORKER = """
import os, sys
requests, replies, *arguments = sys.argv[1:]
os.dup2(os.open(requests, os.O_RDONLY), 0)
sys.stdin, sys.stdout = open(0), open(replies, "w")
from orchestration.dbt_worker import main
main(arguments)
"""


class Worker:
    """A worker as `subprocess.Popen` shows one: its two pipes, and its end with the block or earlier."""

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str], log: BinaryIO) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="worker-")))
        requests, replies = folder / "requests", folder / "replies"
        os.mkfifo(requests)
        os.mkfifo(replies)
        command = [str(requests), str(replies), *arguments]
        self._process = processes.start(
            WORKER, *command, environment=environment, folder=Path.cwd(), output=Path(log.name)
        )
        self.stdin = self._stack.enter_context(requests.open("w"))
        self.stdout = self._stack.enter_context(replies.open())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._process.join()

    def terminate(self) -> None:
        self._process.kill()


def copy_database(path: Path, *, artifacts: str) -> None:
    """Do what `ml.registry.create_database` does, with the tables that the first of all runs made."""
    if not TABLES.exists():
        mine = TABLES.with_suffix(f".{os.getpid()}")  # another run may be at it
        create_database(mine, artifacts=NOWHERE)
        mine.replace(TABLES)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TABLES, path)
        with sqlite3.connect(path) as database:
            database.execute(
                "update experiments set artifact_location = replace(artifact_location, ?, ?)", [NOWHERE, artifacts]
            )
        database.close()


orchestration.dbt.start_worker = Worker  # type: ignore[assignment]
orchestration.resources.create_database = copy_database  # type: ignore[attr-defined]
