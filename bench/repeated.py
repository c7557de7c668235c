"""A small instance made large: every row about a customer once more under other ids, as often as is asked for.

Ids, the tokens of personal values, and the keys of messages, alerts and ledger entries become others, so that the rows
are somebody else's; all other cells are as they were.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

OWNER, TOKEN = "customer_id", "tok_"
SPARING: dict[str, Any] = {
    "memory_limit": "6GB",
    "preserve_insertion_order": "false",
}  # for files larger than what memory there is
PREFIX, LENGTH = "m", 15  # of an id that is made here: a letter and hexadecimal digits
DATABASE = "operational.db"
KEYS = (("outbox", "idempotency_key"), ("alerts", "alert_id"), ("ledger", "entry_id"))


def repeat(home: Path, *, times: int) -> None:
    """Write all rows about customers of the DuckDB files and of the operational store `times` - 1 times more."""
    names = sorted({*_read_ids(home / "warehouse.duckdb"), *_read_keys(home / DATABASE)})
    for path in home.rglob("*.duckdb"):
        with duckdb.connect(str(path), config=SPARING) as connection:
            _repeat_duckdb(connection, names, times=times)
    with closing(sqlite3.connect(home / DATABASE)) as database:
        _repeat_sqlite(database, {*names}, times=times)


def rename(value: str, number: int) -> str:
    """Return what stands in the place of an id, key or token in so manieth a repetition."""
    digest = hashlib.md5(f"{number}:{value}".encode(), usedforsecurity=False).hexdigest()
    return f"{TOKEN}{digest}" if value.startswith(TOKEN) else f"{PREFIX}{digest[:LENGTH]}"


def is_repeated(value: str) -> bool:
    """Return whether an id was made here."""
    return len(value) == 1 + LENGTH and value[0] == PREFIX and set(value[1:]) <= set("0123456789abcdef")


def _read_ids(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = list(_list_tables(connection))
        query = " union ".join(f"select {OWNER}::varchar from {table}" for table, _ in tables)
        return [value for (value,) in connection.execute(query).fetchall() if value]


def _read_keys(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [value for table, name in KEYS for (value,) in database.execute(f"select {name} from {table}")]


def _list_tables(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[str]]]:
    """Yield each table with rows about customers, and its columns of text."""
    for schema, table, names in connection.execute(
        "select schema_name, table_name, list(column_name) filter (data_type = 'VARCHAR') from duckdb_columns() "
        "where not internal and (schema_name, table_name) in (select (schema_name, table_name) from duckdb_tables() "
        "where estimated_size > 0) group by all having bool_or(column_name = ?) order by all",
        [OWNER],
    ).fetchall():
        yield f'"{schema}"."{table}"', list(names)


def _repeat_duckdb(connection: duckdb.DuckDBPyConnection, names: Sequence[str], *, times: int) -> None:
    connection.execute("create temp table names as select unnest($names::varchar[]) as value", {"names": list(names)})
    is_renamed = f"({{0}} in (from names) or starts_with({{0}}, '{TOKEN}'))"
    digest = "md5(number || ':' || {0})"
    new = f"if(starts_with({{0}}, '{TOKEN}'), '{TOKEN}' || {digest}, '{PREFIX}' || left({digest}, {LENGTH}))"
    for table, columns in list(_list_tables(connection)):
        counts = ", ".join(f"""count_if({is_renamed.format(f'"{name}"')})""" for name in columns)
        found = connection.execute(f"select {counts} from {table}").fetchone() or ()
        renamed = [f'"{name}"' for name, rows in zip(columns, found, strict=True) if rows]
        cells = ", ".join(f"if({is_renamed.format(name)}, {new.format(name)}, {name}) as {name}" for name in renamed)
        connection.execute(
            f"insert into {table} select rows.* replace ({cells}) from {table} rows, range(1, {times}) r(number)"
        )


def _repeat_sqlite(database: sqlite3.Connection, names: set[str], *, times: int) -> None:
    tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
    for table in tables:
        columns = database.execute(f'pragma table_info("{table}")').fetchall()
        if OWNER not in {name for _, name, *_ in columns}:
            continue
        keys = {place for place, name, *_, key in columns if key or name == OWNER}
        rows = database.execute(f'select * from "{table}"').fetchall()
        marks = ", ".join("?" * len(columns))
        database.executemany(
            f'insert into "{table}" values ({marks})',
            (
                [
                    rename(cell, number)
                    if isinstance(cell, str) and (cell in names or (place in keys and columns[place][2] != "DATE"))
                    else cell
                    for place, cell in enumerate(row)
                ]
                for number in range(1, times)
                for row in rows
            ),
        )
    database.commit()
