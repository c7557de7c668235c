"""Moving a warehouse from one engine to another: every table and view, all of them or none, each verified."""

from dataclasses import dataclass

import duckdb

from orchestration.engines import Engine
from orchestration.row_digest import digest_rows

SOURCE = "migrated"  # the name of the warehouse that is read, while it is


class MigrationError(Exception):
    """The warehouse cannot be moved; nothing was written, and the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A table as it arrived: its rows, and a sum over all cells that is the same on both engines."""

    table: str
    rows: int
    checksum: str


def migrate(source: Engine, target: Engine) -> tuple[Moved, ...]:
    """Copy all that `source` holds to `target`, which must hold nothing, and verify each table before it counts.

    Raises MigrationError, with the target as it was, where it holds tables already or a table differs after the copy.
    """
    if not source.exists():
        raise MigrationError(f"There is no warehouse on {source.name} yet, so there is nothing to move.")
    if target.exists() and _has_tables(target):
        raise MigrationError(
            f"Nothing was moved: {target.name} holds tables already, and they are not written over. Name an empty one, "
            f"or go on with it by HOLDFAST_TARGET={target.target}."
        )
    with target.rebuild(source, SOURCE) as connection:
        return tuple(_copy(connection, *each) for each in _list_tables(connection))


def _has_tables(engine: Engine) -> bool:
    with engine.open() as connection:
        query = "select count(*) from duckdb_tables() where database_name = current_database()"
        return connection.execute(query).fetchone() != (0,)


def _list_tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    query = "select schema_name, table_name from duckdb_tables() where database_name = ? order by all"
    return connection.execute(query, [SOURCE]).fetchall()


def _copy(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> Moved:
    address = f'"{schema}"."{name}"'
    connection.execute(f'create schema if not exists "{schema}"')
    connection.execute(f"create table {address} as select * from {SOURCE}.{address}")
    before, after = (digest_rows(connection, place) for place in (f"{SOURCE}.{address}", address))
    if before != after:
        raise MigrationError(
            f"{schema}.{name} differs after the copy: {before[0]:,} rows with checksum {before[1]} became {after[0]:,} "
            f"with {after[1]}. Nothing was moved; go on with the engine as it was, and report the table's types."
        )
    return Moved(table=f"{schema}.{name}", rows=after[0], checksum=after[1])
