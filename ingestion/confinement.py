"""What SQL may reach while rows of a company are read: the database, and the files that the sources name."""

from collections.abc import Iterable
from pathlib import Path

import duckdb


def confine(connection: duckdb.DuckDBPyConnection, *, files: Iterable[Path], scratch: Path) -> None:
    """Let SQL reach no file besides the database, `files` and the folder `scratch`, until the database is closed.

    DuckDB takes nothing of this back, for any connection to the same database.
    """
    connection.execute("set allowed_paths = ?", [[str(path) for path in files]])
    connection.execute("set allowed_directories = ?", [[str(scratch)]])
    connection.execute("set enable_external_access = false")
