"""The published snapshot: the one place where the desk reads customers, always through a person's grant."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from company.encryption import attach
from serving.access import SCHEMA, Grant, Question

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

_MEMORY = "1GB"
_MOST_KEPT = 500


class NothingPublishedError(Exception):
    """There is no snapshot yet; the message is one paragraph that names the file and the fix."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """One version of the file: which one, its connection, and the columns of its relations with their types."""

    version: tuple[int, int, int]
    connection: "duckdb.DuckDBPyConnection"
    types: Mapping[str, Mapping[str, str]]
    answers: dict[tuple[str, Question], list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Snapshot:
    """The file at `path`, for any number of threads.

    A file that was swapped in is opened at the next question; a question that is under way keeps the version it began
    with, which goes when its last reader does.
    """

    path: Path
    key: str = field(default="", repr=False)
    _opened: _Opened | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, grant: Grant, question: Question) -> list[dict[str, Any]]:
        """Return the rows that answer a question, as far as the grant goes. Raises NothingPublishedError."""
        opened = self._current()
        types = opened.types.get(question.relation, {})
        if not types:  # a relation that this publication does not have, asked by somebody who might read it
            grant.confine(question.relation)
            return []
        is_kept = grant.is_about_all(question.relation) and not (question.where or question.after)
        if not is_kept or len(opened.answers) >= _MOST_KEPT:
            return _read(opened, grant, question)
        # what holds for the whole company is asked by every page, is small, and differs by role alone
        place = (grant.role, question)
        if place not in opened.answers:
            opened.answers[place] = _read(opened, grant, question)
        return [dict(row) for row in opened.answers[place]]

    def ask_columns(self, grant: Grant, question: Question) -> "dict[str, NDArray[Any]]":
        """Return the rows that answer a question as one array per column, of all customers at once.

        Raises NothingPublishedError.
        """
        opened = self._current()
        query, parameters = grant.compile(question, opened.types)
        with opened.connection.cursor() as cursor:
            found: dict[str, Any] = cursor.execute(query, parameters).fetchnumpy()
        return found

    def types(self, relation: str) -> Mapping[str, str]:
        """Return a relation's columns with their types; none for one that this publication does not have."""
        return self._current().types.get(relation, {})

    @property
    def version(self) -> str:
        """Which publication is read: a text that changes with every one. Raises NothingPublishedError."""
        return "-".join(f"{part:x}" for part in self._version())

    def _current(self) -> _Opened:
        opened = self._opened
        version = self._version()
        if opened is None or opened.version != version:
            with self._lock:
                opened = self._opened
                if opened is None or opened.version != version:
                    self._opened = opened = _open(self.path, version, key=self.key)
        return opened

    def _version(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise NothingPublishedError(
                f"{self.path}: nothing is published yet. Run the pipeline first: `holdfast run`."
            ) from None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _read(opened: _Opened, grant: Grant, question: Question) -> list[dict[str, Any]]:
    query, parameters = grant.compile(question, opened.types)
    with opened.connection.cursor() as cursor:
        answer = cursor.execute(query, parameters)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _open(path: Path, version: tuple[int, int, int], *, key: str) -> _Opened:
    """Attach the file to a database in memory: one opened by its path would be shared with the version before it."""
    import duckdb

    connection = duckdb.connect(
        ":memory:", config={"late_materialization_max_rows": 1000, "memory_limit": _MEMORY, "threads": 2}
    )
    attach(connection, path, name=SCHEMA, key=key, is_read_only=True)
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    types: dict[str, dict[str, str]] = {}
    columns = "select table_name, column_name, data_type from duckdb_columns() where database_name = $name"
    for table, column, kind in connection.execute(f"{columns} order by column_index", {"name": SCHEMA}).fetchall():
        types.setdefault(table, {})[column] = kind
    return _Opened(version=version, connection=connection, types=types)
