"""Dagster's history in SQLite, written at the pace of a run.

Dagster opens the database anew for each of some thousand events, waits for the disk at each, and, whenever the last
connection closes, copies the log of changes into the database. Within a run one connection to each database stays
open, and nobody waits for the disk: a killed process loses nothing, a power cut the last events.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa


@contextmanager
def keep_open(folder: Path) -> Iterator[None]:
    """Keep every SQLite database below `folder` that this process opens within the block open until its end."""
    kept: dict[Path, sqlite3.Connection] = {}

    def relax(connection: sqlite3.Connection, _record: object) -> None:
        path = _find_path(connection)
        if path is None or folder not in path.parents:
            return
        connection.execute("pragma synchronous = normal")
        if path not in kept:
            kept[path] = sqlite3.connect(path, check_same_thread=False)
        kept[path].execute("pragma schema_version").fetchone()  # only who has read holds the log of changes

    sa.event.listen(sa.Pool, "connect", relax)
    try:
        yield
    finally:
        sa.event.remove(sa.Pool, "connect", relax)
        for anchor in kept.values():
            anchor.close()


def _find_path(connection: object) -> Path | None:
    """Return the file of a SQLite connection, None for one in memory or of another database."""
    if not isinstance(connection, sqlite3.Connection):
        return None
    with closing(connection.execute("pragma database_list")) as cursor:
        file = cursor.fetchone()[2]
    return Path(file) if file else None
