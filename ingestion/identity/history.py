"""History follows: what was built from ids that have moved since is dropped, so that it is built again."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import duckdb

from ingestion.transaction import transaction

_DDL = "create table if not exists identity.followed (table_name varchar, count_changes bigint not null)"

# not every engine has keys: what may be there already is merged
_NOTE = """
merge into identity.followed using (select ? as table_name, ? as count_changes) as noted using (table_name)
when matched then update when not matched then insert
"""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """How many moves of ids a table had not followed yet, and which of its snapshots were dropped for them."""

    moves: int
    snapshots: tuple[date, ...]


def drop_stale_snapshots(connection: duckdb.DuckDBPyConnection, table: str, *, days: Collection[date]) -> Followed:
    """Drop snapshots of `table`, one row per as_of and customer_id, that ids have moved in or out of since last time.

    Only snapshots of `days`, which the caller builds again; any other stays as it was when it was scored.
    A joined id makes those snapshots stale that know it as a customer of its own: an account that was recognised when
    it was opened makes none. A parted id makes those stale that know whom it stood for. One transaction, so that killed
    in between nothing is dropped and nothing forgotten. Without identity, or without the table, nothing happens.
    """
    if not (_exists(connection, "identity.changes") and _exists(connection, table)):
        return Followed(moves=0, snapshots=())
    with transaction(connection):
        return _drop(connection, table, days)


def _drop(connection: duckdb.DuckDBPyConnection, table: str, days: Collection[date]) -> Followed:
    connection.execute(_DDL)
    known = connection.execute("select count_changes from identity.followed where table_name = ?", [table]).fetchone()
    done = known[0] if known else 0
    moved = f"select * from identity.changes where rowid >= {done}"
    row = connection.execute(f"select count(*) from ({moved})").fetchone()
    moves = row[0] if row else 0
    stale = connection.execute(
        f"""
        select distinct as_of from {table} where customer_id in (
            select case when canonical_before = customer_id then customer_id else canonical_before end from ({moved})
        ) and as_of in (select unnest($days::date[])) order by as_of
        """,
        {"days": list(days)},
    ).fetchall()
    snapshots = [day for (day,) in stale]
    connection.execute(
        f"delete from {table} where as_of in (select unnest($snapshots::date[]))", {"snapshots": snapshots}
    )
    connection.execute(_NOTE, [table, done + moves])
    return Followed(moves=moves, snapshots=tuple(snapshots))


def _exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    schema, name = table.split(".")
    query = (
        "select count(*) from information_schema.tables where table_catalog = current_database() "
        "and table_schema = ? and table_name = ?"
    )
    found = connection.execute(query, [schema, name]).fetchone()
    return bool(found and found[0])
