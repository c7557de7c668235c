"""Dagster's event log in SQLite, with one engine for each database where Dagster makes one for each event.

SQLAlchemy keeps the statements that it has compiled with the engine: a night writes a thousand events, and to compile
their statements each time anew takes longer than to write them. `dagster.yaml` names the class.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

INDEX = "index"  # the database of all runs; each run has another of its own
MOST_OPEN = 4
PATIENCE_SECONDS = 60


class EventLog(SqliteEventLogStorage):
    """Dagster's own storage, opened once: the newest few databases stay open until `dispose`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Keep the databases in the folder `base_dir`."""
        self._engines: dict[str, sa.Engine] = {}
        self._lock = threading.Lock()
        super().__init__(base_dir, inst_data)  # it asks the index already

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the storage that `dagster.yaml` declares."""
        return cls(inst_data=inst_data, **config_value)

    def run_connection(self, run_id: str | None = None) -> AbstractContextManager[sa.Connection]:
        """Return a transaction on the database of a run."""
        return self._begin(str(run_id), first=super().run_connection(run_id))

    def index_connection(self) -> AbstractContextManager[sa.Connection]:
        """Return a transaction on the database of all runs."""
        return self._begin(INDEX, first=super().index_connection())

    def dispose(self) -> None:
        """Close every database."""
        with self._lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()

    @contextmanager
    def _begin(self, shard: str, *, first: AbstractContextManager[sa.Connection]) -> Iterator[sa.Connection]:
        """Yield a connection to a database; Dagster's `first` one makes the tables."""
        with self._lock:
            if shard not in self._engines:
                with first:
                    pass
                self._engines[shard] = self._open(shard)
            with self._engines[shard].begin() as connection:
                yield connection

    def _open(self, shard: str) -> sa.Engine:
        if len(self._engines) == MOST_OPEN:
            oldest = next(each for each in self._engines if each != INDEX)
            self._engines.pop(oldest).dispose()
        return sa.create_engine(self.conn_string_for_shard(shard), connect_args={"timeout": PATIENCE_SECONDS})
