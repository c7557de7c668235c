"""Erasing from a DuckDB file: the customers' rows of every table that is there, and then a new file without them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from company.encryption import attach, open_file
from privacy.duckdb_tables import MEMORY, Eraser, Mode, quote
from privacy.identifiers import Identifiers
from privacy.traces import Evidence, Trace

_COPY = ".erasing-"  # begins the name of a folder with a copy to work on


@dataclass(frozen=True, kw_only=True)
class DuckDbFile:
    """A DuckDB file of an instance, called `name` in the receipt."""

    name: str
    path: Path
    key: str = field(default="", repr=False)

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, by doing it in a copy."""
        with self._copy() as (connection, _):
            return list(Eraser(connection=connection, identifiers=identifiers, mode="erasure").erase())

    def erase(self, identifiers: Identifiers, *, mode: Mode) -> Evidence:
        """Put a new file without the customers in the place of this one, at once; a second time changes nothing.

        Whoever reads the file before keeps it until they close it. Raises ErasureError where rows of anybody else would
        change.
        """
        with self._copy() as (connection, folder):
            eraser = Eraser(connection=connection, identifiers=identifiers, mode=mode)
            before = eraser.digest_others()
            traces = tuple(eraser.erase())
            eraser.refuse_changes(before, place=str(self.path))
            _write_anew(connection, folder / "fresh", key=self.key)
            os.replace(folder / "fresh", self.path)  # noqa: PTH105 - atomic, also over a file that is being read
        return Evidence(store=self.name, traces=traces, others_unchanged=True)

    @contextmanager
    def _copy(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
        """Yield a connection to a copy, and its folder: the file may be read meanwhile, and a kill leaves it whole."""
        with (
            suppress(duckdb.IOException),
            open_file(self.path, key=self.key),
        ):  # writes down what a killed run left behind
            pass
        with TemporaryDirectory(dir=self.path.parent, prefix=_COPY) as folder:
            copy = Path(folder) / self.path.name  # views name the database by its file
            shutil.copyfile(self.path, copy)
            with open_file(copy, key=self.key, config={"memory_limit": MEMORY}) as connection:
                connection.execute("pragma disable_checkpoint_on_shutdown")  # the copy goes, written or not
                yield connection, Path(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the copies that killed erasures left below a folder, where no other erasure may be at work."""
    for path in [*folder.rglob(f"{_COPY}*")]:
        shutil.rmtree(path, ignore_errors=True)  # one within another is gone already


def _write_anew(connection: duckdb.DuckDBPyConnection, path: Path, *, key: str) -> None:
    """Write a new file with what is left in the open one: what was deleted there stays in its old blocks."""
    attach(connection, path, name="fresh", key=key)
    source = connection.execute("select current_database()").fetchone() or ("",)
    connection.execute(f"copy from database {quote(source[0])} to fresh")
    connection.execute("checkpoint fresh")
    connection.execute("detach fresh")
