"""One DuckDB file in the state folder: one writer, one machine, nothing to install or to run."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Self

import duckdb

from company.encryption import attach, open_file
from expectations.gate import Database
from orchestration.engines.base import PATIENCE_SECONDS, Engine, EngineError
from orchestration.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DuckDb(Engine):
    """The DuckDB file at `path`, which one process at a time has open; encrypted where there is a `key`."""

    path: Path
    key: str = field(default="", repr=False)
    target: ClassVar[str] = "duckdb"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the file of an instance."""
        return cls(path=settings.warehouse_file, key=settings.encryption_key)

    @property
    def name(self) -> str:
        """The file."""
        return f"the DuckDB file {self.path}"

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    def open(self) -> duckdb.DuckDBPyConnection:
        """Open the file, waiting a while for another process, such as the dbt of a killed run, to leave it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return open_file(self.path, key=self.key)
            except duckdb.IOException as error:
                if "lock" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise EngineError(
                        f"{self.path}: another process has held the warehouse for over {PATIENCE_SECONDS} s. One run "
                        "writes at a time; wait until it has ended. The published snapshot next to it can be read at "
                        "any time."
                    ) from None
                time.sleep(0.2)

    def attach_to(self, connection: duckdb.DuckDBPyConnection, alias: str) -> None:
        """Attach the file for reading only."""
        attach(connection, self.path, name=alias, key=self.key, is_read_only=True)

    @contextmanager
    def rebuild(self, source: Engine, alias: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Write a file of the same name aside, which takes its place at the end."""
        with TemporaryDirectory(dir=self.path.parent, prefix=".rebuilt-") as folder:
            fresh = Path(folder) / self.path.name  # views name the database by its file
            with open_file(fresh, key=self.key, config=source.config) as connection:
                source.attach_to(connection, alias)
                yield connection
            os.replace(fresh, self.path)  # noqa: PTH105 - atomic

    def turn(self) -> AbstractContextManager[None]:
        """Wait for nobody: no other machine has the file."""
        return nullcontext()

    def forget(self, *, days: int, now: datetime) -> None:
        """Do nothing: the file keeps no past."""

    @property
    def config(self) -> Mapping[str, str]:
        """Nothing in particular."""
        return {}

    @property
    def database(self) -> Database:
        """The file, for reading only."""
        return Database.of_file(self.path, key=self.key)

    @property
    def environment(self) -> Mapping[str, str]:
        """The target alone: dbt finds the file in the state folder, and its key in the environment."""
        return {"HOLDFAST_TARGET": "encrypted" if self.key else self.target}
