"""What a reader is: something that reads what one feed takes from a source, made from the source's settings."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from company.company_file import Company, Feed, Source
from company.file_faults import SourceError
from ingestion.readers.extract import Extract, FileSeen, Request


@dataclass(frozen=True, kw_only=True)
class Context:
    """The `feed` of `company` that fills `table`, and what its reader may use.

    `secrets` are the values of named secrets. Files that a reader writes go into the folder `scratch`, which lives as
    long as what was extracted is read.
    """

    company: Company
    table: str
    feed: Feed
    secrets: Mapping[str, str]
    scratch: Path

    @property
    def key(self) -> str:
        """The dotted key of the feed in the company file."""
        return self.company.key_of(self.table, self.feed)

    @property
    def source_key(self) -> str:
        """The dotted key of the feed's source in the company file."""
        return f"sources.{self.feed.source}"

    def error(self, key: str, problem: str, fix: str) -> SourceError:
        """Return the error that names the company's file, the `key` in it, the `problem` and the `fix`."""
        return self.company.error(key, problem, fix)


class Reader(ABC):
    """Reads what one feed takes from its source."""

    def look(
        self, connection: duckdb.DuckDBPyConnection, *, taken: Iterable[FileSeen] = ()
    ) -> dict[str, tuple[FileSeen, ...]]:
        """Return the files that the feed reads, by name, where the source is files: each can be taken exactly once.

        `taken` are the files of earlier landings. Raises SourceError when there is no file.
        """
        del connection, taken
        return {}

    @abstractmethod
    def extract(self, connection: duckdb.DuckDBPyConnection, asked: Request) -> Extract:
        """Return the rows that are asked for, as SQL for `connection`; raises SourceError when they cannot be read."""


class ReaderSettings(Source, ABC):
    """What the company file may say about a source of one kind; a kind narrows `reader` to the literal of its name."""

    @abstractmethod
    def open(self, context: Context) -> Reader:
        """Return the reader of one feed."""
