"""What an engine of the warehouse is: how it is opened, and what dbt and the gates need to open it themselves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from orchestration.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from expectations.gate import Database


PATIENCE_SECONDS = 60  # for whoever else has the warehouse open


class EngineError(Exception):
    """The warehouse cannot be opened; the message is one paragraph that names what is wrong and the fix."""


class Engine(ABC):
    """Where the tables of the warehouse are kept; all speak DuckDB's SQL."""

    target: ClassVar[str]  # the name in HOLDFAST_TARGET
    key: str  # under which the instance's files are encrypted; empty where they are not

    @classmethod
    @abstractmethod
    def of(cls, settings: Settings) -> Self:
        """Return the engine of an instance; raises EngineError when a setting is missing."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person knows it by; no password is in it."""

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether anything was ever written."""

    @abstractmethod
    def open(self) -> "duckdb.DuckDBPyConnection":
        """Return a connection whose current database is the warehouse; whoever asks closes it.

        Raises EngineError when it cannot be opened.
        """

    @abstractmethod
    def attach_to(self, connection: "duckdb.DuckDBPyConnection", alias: str) -> None:
        """Show the warehouse to a connection of another engine for reading, as the database `alias`."""

    @abstractmethod
    def rebuild(self, source: "Engine", alias: str) -> AbstractContextManager["duckdb.DuckDBPyConnection"]:
        """Yield a connection to an empty warehouse, beside which `source` is the database `alias`.

        What is written takes the place of nothing before the block has ended, and goes when it raises.
        """

    @abstractmethod
    def turn(self) -> AbstractContextManager[None]:
        """Wait until no other machine writes, and keep all others waiting until the block ends."""

    @abstractmethod
    def forget(self, *, days: int, now: datetime) -> None:
        """Delete what is only needed to read tables as they were more than `days` ago; 0 keep all."""

    @property
    @abstractmethod
    def config(self) -> Mapping[str, str]:
        """The configuration of a DuckDB that this engine is attached to."""

    @property
    @abstractmethod
    def database(self) -> "Database":
        """What a gate opens for reading only."""

    @property
    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """What dbt's profile reads of this engine."""
