"""Storing: rows of the stage into raw tables and quarantine. All of it runs in the transaction of the caller."""

from datetime import datetime

import duckdb

from company.contract import Table
from ingestion.classifying import DUPLICATE, STAGE, Classified, count
from ingestion.readers.extract import quoted


def replace(connection: duckdb.DuckDBPyConnection, target: str, contract: Table, *, batch: str, at: datetime) -> None:
    """Put the good rows of the stage in the place of the table `target`."""
    schema = target.partition(".")[0]
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(f"create or replace table {target} as {_good_rows(contract)}", {"batch": batch, "at": at})


def merge(
    connection: duckdb.DuckDBPyConnection, target: str, contract: Table, *, overlaps: bool, batch: str, at: datetime
) -> None:
    """Add the good rows of the stage to the table `target`; a row of a key that stands there takes its place."""
    if not exists(connection, target):
        replace(connection, target, contract, batch=batch, at=at)
        return
    for column in contract.columns:
        connection.execute(f"alter table {target} add column if not exists {quoted(column.name)} {column.type.value}")
    match = _match(contract, contract.key)
    if overlaps:
        connection.execute(
            f"delete from {target} r where exists (select 1 from {STAGE} s where s._fault is null and {match})"
        )
    connection.execute(f"insert into {target} by name {_good_rows(contract)}", {"batch": batch, "at": at})


def overlaps_with(connection: duckdb.DuckDBPyConnection, target: str, contract: Table) -> bool:
    """Tell whether a key of a good row in the stage stands in the table `target` already."""
    if not exists(connection, target):
        return False
    match = _match(contract, contract.key)
    query = (
        f"select 1 from {target} r where exists (select 1 from {STAGE} s where s._fault is null and {match}) limit 1"
    )
    return connection.execute(query).fetchone() is not None


def mark_known(
    connection: duckdb.DuckDBPyConnection,
    target: str,
    contract: Table,
    staged: Classified,
    *,
    overlaps: bool,
    source: str,
) -> Classified:
    """Mark rows of the stage that stand in `target` or in quarantine already as duplicates; returns the new counts."""
    reasons = [fault.reason for fault in staged.faults]
    connection.execute(
        f"""
        update {STAGE} s set _fault = {DUPLICATE} from quarantine.rows q
        where s._fault >= 0 and q.source = $source and q.table_name = $table
            and q.reason = $reasons[s._fault + 1] and q.row_key is not distinct from s._key and q.raw = s._raw
        """,
        {"source": source, "table": contract.name, "reasons": reasons},
    )
    if overlaps:
        match = _match(contract, contract.names)
        connection.execute(
            f"update {STAGE} s set _fault = {DUPLICATE} from {target} r where s._fault is null and {match}"
        )
    return count(connection, staged.faults, staged.fixes, rows_in=staged.rows_in)


def quarantine(
    connection: duckdb.DuckDBPyConnection, staged: Classified, *, source: str, table: str, batch: str, at: datetime
) -> None:
    """Write the bad rows of the stage to quarantine, each with its reason."""
    connection.execute(
        f"""
        insert into quarantine.rows
        select $source, $table, $batch, $reasons[_fault + 1], nullif($columns[_fault + 1], ''), _key, _raw, $at
        from {STAGE} where _fault >= 0
        """,
        {
            "source": source,
            "table": table,
            "batch": batch,
            "reasons": [fault.reason for fault in staged.faults],
            "columns": [fault.column for fault in staged.faults],
            "at": at,
        },
    )


def note_repairs(
    connection: duckdb.DuckDBPyConnection, staged: Classified, *, source: str, table: str, batch: str, at: datetime
) -> None:
    """Write down which values of the good rows were repaired, by column and rule."""
    for place, rows in staged.fixed.items():
        fix = staged.fixes[place]
        connection.execute(
            "insert into ingestion.repairs values (?, ?, ?, ?, ?, ?, ?)",
            [source, table, batch, fix.column, fix.rule, rows, at],
        )


def forget_repairs(connection: duckdb.DuckDBPyConnection, source: str, table: str) -> None:
    """Forget the repairs of rows that are about to be replaced."""
    connection.execute("delete from ingestion.repairs where source = ? and table_name = ?", [source, table])


def forget_batch(connection: duckdb.DuckDBPyConnection, source: str, table: str, *, batch: str) -> None:
    """Take out of quarantine what an earlier landing under the same `batch` set aside."""
    connection.execute(
        "delete from quarantine.rows where source = ? and table_name = ? and batch = ?", [source, table, batch]
    )


def exists(connection: duckdb.DuckDBPyConnection, target: str) -> bool:
    """Tell whether the table `target`, a quoted schema and name, stands in the warehouse."""
    schema, name = (part.strip('"') for part in target.split("."))
    query = (
        "select 1 from duckdb_tables() where database_name = current_database() and schema_name = ? and table_name = ?"
    )
    return connection.execute(query, [schema, name]).fetchone() is not None


def content(connection: duckdb.DuckDBPyConnection) -> str:
    """Digest the rows of the stage, whatever their order."""
    row = connection.execute(
        f"select count(*) || ' ' || sum(h::hugeint) || ' ' || bit_xor(h) from (select hash(r) as h from {STAGE} r)"
    ).fetchone()
    return str(row[0]) if row and row[0] else "empty"


def _good_rows(contract: Table) -> str:
    names = ", ".join(quoted(name) for name in contract.names)
    return f"select {names}, $batch::varchar as _batch, $at::timestamp as _landed_at from {STAGE} where _fault is null"


def _match(contract: Table, names: tuple[str, ...]) -> str:
    """Return the condition that row `s` of the stage and row `r` of the table agree in `names`."""
    required = {column.name for column in contract.columns if column.is_required}
    signs = {name: "=" if name in required else "is not distinct from" for name in names}
    return " and ".join(f"s.{quoted(name)} {sign} r.{quoted(name)}" for name, sign in signs.items())
