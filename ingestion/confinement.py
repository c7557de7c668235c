"""What SQL may reach while rows of a company are read: the database, and the files that the sources name."""

from collections.abc import Iterable
from pathlib import Path

import duckdb


def confine(connection: duckdb.DuckDBPyConnection, *, files: Iterable[Path], scratch: Path) -> None:
    """Let SQL reach no file besides the database, `files` and the folder `scratch`, until the database is closed.

    DuckDB takes none of the three settings back, for any connection to the same database. Folders, or places in a
    bucket, that are allowed already stay so: they hold the database, where it is more than one file.
    """
    own = connection.execute("select current_setting('allowed_directories')").fetchone() or ([],)
    connection.execute("set allowed_paths = ?", [[str(path) for path in files]])
    connection.execute("set allowed_directories = ?", [[*own[0], str(scratch)]])
    connection.execute("set enable_external_access = false")
    if any("://" in place for place in own[0]):  # else what stands behind a `?` there could name another server
        connection.execute("set global s3_url_compatibility_mode = true")
