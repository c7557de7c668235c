"""Classifying: source rows in a temporary table, each good, bad for a reason, or a duplicate of another."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb

from company.contract import ColumnType, Table
from ingestion.cells import GROUPED, shape
from ingestion.projection import Fix, Projection, RowFault
from ingestion.readers.extract import quoted
from ingestion.readers.text import BrokenLine

STAGE = "temp.landing_rows"
DUPLICATE = -1
_GOOD = -2
_DUPLICATE_KEY = "duplicate key"
_BROKEN_LINE = "line cannot be split into columns"
_OTHER_TABLES = ("landing_rows", "landing_source", "landing_texts", "landing_verdicts")


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The rows that stand in `STAGE`: counts of good rows, of duplicates, and of bad rows by place in `faults`.

    `rows_in` was counted when the rows were read, before any was classified; `fixed` counts the repaired values of good
    rows by place in `fixes`.
    """

    faults: tuple[RowFault, ...]
    fixes: tuple[Fix, ...]
    rows_in: int
    good: int
    duplicates: int
    bad: dict[int, int]
    fixed: dict[int, int]

    @property
    def reasons(self) -> Counter[str]:
        """Bad rows by "column: reason"."""
        reasons: Counter[str] = Counter()
        for place, count in self.bad.items():
            fault = self.faults[place]
            reasons[f"{fault.column}: {fault.reason}" if fault.column else fault.reason] += count
        return reasons

    @property
    def repairs(self) -> Counter[str]:
        """Repaired values by "column: rule"."""
        return Counter(
            {f"{self.fixes[place].column}: {self.fixes[place].rule}": count for place, count in self.fixed.items()}
        )


def classify(
    connection: duckdb.DuckDBPyConnection, contract: Table, projection: Projection, *, broken: Sequence[BrokenLine] = ()
) -> Classified:
    """Write the rows of `projection` into `STAGE` and classify them, and the `broken` lines of files with them.

    Raises duckdb.Error when a row cannot be computed.
    """
    create = f"create or replace temp table landing_rows as {projection.query}"
    rows_in = _count(connection.execute(create, projection.parameters))
    faults = (
        *projection.faults,
        RowFault(column="", reason=_BROKEN_LINE),
        RowFault(column=contract.key[0], reason=_DUPLICATE_KEY),
    )
    _decide_doubted(connection, contract, projection)
    fixes = _join_float_ids(connection, projection)
    if broken:
        rows_in += _add_broken(connection, broken, place=len(faults) - 2)
    _sort_out_duplicates(connection, contract, fault=len(faults) - 1, place=projection.place)
    return count(connection, faults, fixes, rows_in=rows_in)


def count(
    connection: duckdb.DuckDBPyConnection, faults: tuple[RowFault, ...], fixes: tuple[Fix, ...], *, rows_in: int
) -> Classified:
    """Count the rows that stand in `STAGE`, of `rows_in` that came."""
    verdicts = "select coalesce(_fault, -2), coalesce(_mended, 0), count(*)"
    counted = connection.execute(f"{verdicts} from {STAGE} group by 1, 2 order by 1, 2").fetchall()
    counts: Counter[int] = Counter()
    fixed: Counter[int] = Counter()
    for verdict, bits, rows in counted:
        counts[verdict] += rows
        if verdict == _GOOD:
            fixed.update({place: rows for place, fix in enumerate(fixes) if fix.rule and bits >> place & 1})
    good, duplicates = counts.pop(_GOOD, 0), counts.pop(DUPLICATE, 0)
    return Classified(
        faults=faults,
        fixes=fixes,
        rows_in=rows_in,
        good=good,
        duplicates=duplicates,
        bad=dict(counts),
        fixed=dict(fixed),
    )


def _decide_doubted(connection: duckdb.DuckDBPyConnection, contract: Table, projection: Projection) -> None:
    """Quarantine numbers such as 1.234 where another value of their column has a comma: both mean what nobody knows."""
    for bit, fault in projection.doubted.items():
        if connection.execute(f"select 1 from {STAGE} where _fault = {fault} limit 1").fetchone():
            connection.execute(
                f"update {STAGE} set _fault = {fault}, _raw = {_as_json(contract)}, _key = {_as_key(contract)} "
                f"where _fault is null and _mended & {2**bit} > 0"
            )


def _join_float_ids(connection: duckdb.DuckDBPyConnection, projection: Projection) -> tuple[Fix, ...]:
    """Write ids as whole numbers where all of a column read `1001.0`; returns the fixes that are repairs."""
    repaired = set()
    for bit, column in projection.float_ids.items():
        name, is_float = quoted(column), f"_mended & {2**bit} > 0"
        others = f"select 1 from {STAGE} where _fault is null and {name} is not null and not {is_float} limit 1"
        if connection.execute(others).fetchone() is None:
            connection.execute(f"update {STAGE} set {name} = left({name}, -2) where _fault is null and {is_float}")
            repaired.add(bit)
    undecided = {*projection.doubted, *projection.float_ids} - repaired
    return tuple(
        replace(fix, rule="") if place in undecided or fix.rule == GROUPED else fix
        for place, fix in enumerate(projection.fixes)
    )


def _as_json(contract: Table) -> str:
    """Return SQL for what the quarantine shows of a row taken before: tokens and ids, and of other text its shape."""
    shown = {
        column.name: shape(quoted(column.name))
        if column.type is ColumnType.TEXT and not column.personal and not column.name.endswith("_id")
        else quoted(column.name)
        for column in contract.columns
    }
    return f"to_json({{{', '.join(f'{quoted(name)}: {sql}' for name, sql in shown.items())}}})"


def _as_key(contract: Table) -> str:
    return f"concat_ws('|', {', '.join(quoted(name) for name in contract.key)})"


def _count(done: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows a statement wrote."""
    row = done.fetchone()
    return int(row[0]) if row else 0


def tidy(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of the classification."""
    for name in _OTHER_TABLES:
        connection.execute(f"drop table if exists temp.{name}")


def _add_broken(connection: duckdb.DuckDBPyConnection, broken: Sequence[BrokenLine], *, place: int) -> int:
    """Add lines that are no records, by file, number and shape: their text could hold anybody's data."""
    done = connection.execute(
        f"""
        insert into {STAGE} by name
        select {place}::smallint as _fault, file || ':' || line as _key,
            to_json({{file: file, line: line, error: error, shape: {shape("text")}}}) as _raw
        from (
            select unnest($files::varchar[]) as file, unnest($lines::bigint[]) as line,
                unnest($errors::varchar[]) as error, unnest($texts::varchar[]) as text
        )
        """,
        {
            "files": [one.file for one in broken],
            "lines": [one.line for one in broken],
            "errors": [one.error for one in broken],
            "texts": [one.text for one in broken],
        },
    )
    return _count(done)


def _sort_out_duplicates(
    connection: duckdb.DuckDBPyConnection, contract: Table, *, fault: int, place: str | None
) -> None:
    """Mark identical rows beyond the first as duplicates; of rows that contradict each other keep the newest.

    Of rows of one moment the one that came later is the newer, where `place` tells; else any, but always the same one.
    """
    key = ", ".join(quoted(name) for name in contract.key)
    duplicate_keys = f"select {key} from {STAGE} where _fault is null group by all having count(*) > 1"
    if not connection.execute(f"select 1 from ({duplicate_keys}) limit 1").fetchone():
        return
    names = ", ".join(quoted(name) for name in contract.names)
    newest = f"{quoted(contract.moment)} desc nulls last, " if contract.moment else ""
    later = f"{place} desc" if place else names
    match = " and ".join(f"t.{quoted(name)} is not distinct from r.{quoted(name)}" for name in contract.key)
    connection.execute(
        f"""
        create or replace temp table landing_verdicts as
        with duplicate_keys as ({duplicate_keys}), held as (
            select r.rowid as row_id, r.* from {STAGE} r
            where _fault is null and exists (select 1 from duplicate_keys t where {match})
        ), counted as (
            select *, row_number() over (partition by {names} order by {later}) as copy from held
        )
        select row_id, case when copy > 1 then {DUPLICATE} else {fault} end::smallint as verdict from counted
        qualify copy > 1 or row_number() over (partition by {key}, copy order by {newest}{later}) > 1
        """
    )
    connection.execute(
        f"""
        update {STAGE} set _fault = v.verdict, _raw = {_as_json(contract)}, _key = {_as_key(contract)}
        from landing_verdicts v where landing_rows.rowid = v.row_id
        """
    )
