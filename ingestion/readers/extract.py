"""What a reader hands to the landing: SQL that yields source rows, and how far the source was read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ingestion.readers.text import BrokenLine


@dataclass(frozen=True, kw_only=True)
class FileSeen:
    """One file as it was read: where it lay, its SHA-256, its size in bytes and its time of change."""

    path: Path
    content: str
    size: int
    modified_ns: int


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a source: the rows of some `files`, else about `most` rows, and what is new `since` a cursor.

    `reads` are the paths of fields that the mapping mentions, and `names` every part of every column name in it; the
    paths of `optional` lead to fields that may be missing, and `known` are fields of earlier answers with their types.
    """

    files: "Mapping[str, Sequence[FileSeen]]"
    reads: "Collection[tuple[str, ...]]" = ()
    names: "Collection[str]" = ()
    optional: "Collection[tuple[str, ...]]" = ()
    known: "Mapping[str, str]"
    most: int | None = None
    since: str | None = None


@dataclass(frozen=True, kw_only=True)
class Extract:
    """Rows of one feed, before mapping.

    `prelude` holds common table expressions and `relation` what stands after FROM. `broken` lines of files are no rows;
    `is_text` is set where values arrive as text, `is_ordered` where a row that comes later was written later.
    `columns` are the source's columns with their types, empty where a type is not known. `files` and `cursor` say how
    far the source has been read.
    """

    prelude: tuple[str, ...] = ()
    relation: str
    broken: "Sequence[BrokenLine]" = ()
    is_text: bool = False
    is_ordered: bool = False
    columns: "Mapping[str, str] | None" = None
    files: tuple[FileSeen, ...] = ()
    cursor: str | None = None


def quoted(name: str) -> str:
    """Return `name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def described(connection: duckdb.DuckDBPyConnection, select: str) -> dict[str, str]:
    """Return the columns that `select` yields, with their DuckDB types."""
    return {row[0]: row[1] for row in connection.execute(f"describe {select}").fetchall()}
