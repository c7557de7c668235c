"""Erasing from a SQL database, whatever its tables: the customers' rows, what hangs on them, and ids in other texts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from more_itertools import chunked

from company.encryption import sqlite_driver, unlock
from privacy.identifiers import Identifiers
from privacy.matching import Matcher
from privacy.traces import ERASED, Action, Evidence, Trace

OWNER = "customer_id"
_ROWS = 2_000  # that are searched at once
_BETWEEN = "\x1f"  # stands between the texts of a row, and in none of the values
_ERASED = sa.Table(  # for the length of a connection
    "erased_values",
    sa.MetaData(),
    sa.Column("value", sa.String, primary_key=True),
    sa.Column("is_key", sa.Boolean, primary_key=True),
    sa.Column("renamed", sa.String),
    prefixes=["temporary"],
)
_CUSTOMERS = sa.select(_ERASED.c.value).where(~_ERASED.c.is_key)
_KEYS = sa.select(_ERASED.c.value).where(_ERASED.c.is_key)


@dataclass(frozen=True, kw_only=True)
class SqlDatabase:
    """A database of an instance, called `name` in the receipt.

    Of the columns in `blanked`, by table and name, only the id goes, because the row records what a colleague did.
    """

    name: str
    url: str
    key: str = field(default="", repr=False)
    blanked: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, without doing it."""
        with self._connect() as connection:
            traces = list(self._erase(connection, identifiers, renamed={}))
            connection.rollback()
        return traces

    def erase(self, identifiers: Identifiers, *, mode: str) -> Evidence:
        """Take the customers out in one transaction and give their space back; a second time changes nothing."""
        renamed = identifiers.new_names if mode == "anonymisation" else {}
        with self._connect() as connection:
            traces = tuple(self._erase(connection, identifiers, renamed=renamed))
            connection.commit()
            self._give_back(connection, traces)
        return Evidence(store=self.name, traces=traces)

    def find(self, identifiers: Identifiers) -> dict[str, int]:
        """Return by table in how many rows an identifier stands in a text or in bytes, and change nothing."""
        with self._connect() as connection:
            metadata = sa.MetaData()
            metadata.reflect(connection)
            found = {
                table.name: sum(1 for _ in _find_rows(connection, table, cells, identifiers.matcher))
                for table in metadata.sorted_tables
                if (cells := [*_texts(table), *_bytes(table)])
            }
        return {table: rows for table, rows in found.items() if rows}

    @property
    def _options(self) -> dict[str, Any]:
        return {"module": sqlite_driver(key=self.key)} if self.url.startswith("sqlite") else {}

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self.url, **self._options)
        if engine.dialect.name == "sqlite":
            path = Path(engine.url.database or "")
            sa.event.listen(engine, "connect", lambda opened, _: unlock(opened, path, key=self.key))
        try:
            with engine.connect() as connection:
                if engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("pragma secure_delete = on")
                    connection.exec_driver_sql("pragma temp_store = memory")
                yield connection
        finally:
            engine.dispose()

    def _give_back(self, connection: sa.Connection, traces: Sequence[Trace]) -> None:
        """Write the database anew without what was deleted; PostgreSQL the tables that changed."""
        is_sqlite = connection.dialect.name == "sqlite"
        free = connection.execution_options(isolation_level="AUTOCOMMIT")
        if is_sqlite:
            free.exec_driver_sql("vacuum")
            free.exec_driver_sql("pragma wal_checkpoint(truncate)")
            return
        for place in sorted({trace.place for trace in traces}):
            free.exec_driver_sql(f"vacuum (full, analyze) {connection.dialect.identifier_preparer.quote(place)}")

    def _erase(
        self, connection: sa.Connection, identifiers: Identifiers, *, renamed: dict[str, str]
    ) -> Iterator[Trace]:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        _remember(connection, identifiers, renamed)
        for table in reversed(metadata.sorted_tables):
            before = _count(connection, table)
            with _unguarded(connection, table):
                for action, rows in self._change(connection, table, identifiers.matcher, renamed):
                    after = _count(connection, table)
                    yield Trace(place=table.name, action=action, rows=rows, rows_before=before, rows_after=after)
                    before = after

    def _change(
        self, connection: sa.Connection, table: sa.Table, matcher: Matcher, renamed: dict[str, str]
    ) -> Iterator[tuple[Action, int]]:
        if renamed:
            yield from _named("renamed", self._rename(connection, table))
        if not renamed and (table.name, OWNER) not in self.blanked:
            yield from _named("deleted", _delete(connection, table, _theirs(table)))
        if not renamed:
            yield from _named("emptied", self._blank(connection, table))
            yield from _named("deleted", _delete(connection, table, _about_keys(table)))
        yield from _named("replaced", _replace_texts(connection, table, matcher, renamed))

    def _rename(self, connection: sa.Connection, table: sa.Table) -> int:
        new = sa.select(_ERASED.c.renamed).where(~_ERASED.c.is_key)
        return sum(
            _execute(
                connection,
                sa.update(table)
                .where(column.in_(_CUSTOMERS))
                .values({column.name: new.where(_ERASED.c.value == column).scalar_subquery()}),
            )
            for column in self._find_references(table)
        )

    def _blank(self, connection: sa.Connection, table: sa.Table) -> int:
        blanked = [column for column in table.columns if (table.name, column.name) in self.blanked]
        return sum(
            _execute(connection, sa.update(table).where(column.in_(_CUSTOMERS)).values({column.name: ERASED}))
            for column in blanked
        )

    def _find_references(self, table: sa.Table) -> list[sa.Column[Any]]:
        return [each for each in table.columns if each.name == OWNER or (table.name, each.name) in self.blanked]


def _remember(connection: sa.Connection, identifiers: Identifiers, renamed: dict[str, str]) -> None:
    """Write down whom statements are about, in a table that goes with the connection."""
    _ERASED.create(connection)
    rows = [
        {"value": value, "is_key": is_key, "renamed": renamed.get(value)}
        for is_key, values in ((False, identifiers.customers), (True, identifiers.keys))
        for value in sorted({*values})
    ]
    if rows:
        connection.execute(sa.insert(_ERASED), rows)


def _named(action: Action, rows: int) -> Iterator[tuple[Action, int]]:
    if rows:
        yield action, rows


def _execute(connection: sa.Connection, statement: sa.UpdateBase) -> int:
    """Return how many rows a statement changed."""
    return connection.execute(statement).rowcount


def _delete(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool] | None) -> int:
    return 0 if condition is None else _execute(connection, sa.delete(table).where(condition))


def _theirs(table: sa.Table) -> sa.ColumnElement[bool] | None:
    """Return the condition of rows of the customers, and of rows that refer to one; None where a table has neither."""
    conditions = [table.c[OWNER].in_(_CUSTOMERS)] if OWNER in table.c else []
    for key in table.foreign_keys:
        parent = None if key.column.table is table else _theirs(key.column.table)
        if parent is not None:
            conditions.append(key.parent.in_(sa.select(key.column).where(parent)))
    return sa.or_(*conditions) if conditions else None


def _about_keys(table: sa.Table) -> sa.ColumnElement[bool] | None:
    """Return the condition of rows that are nobody's by name and about one of the customers' messages or alerts."""
    texts = [] if OWNER in table.c else _texts(table)
    return sa.or_(*(column.in_(_KEYS) for column in texts)) if texts else None


def _replace_texts(connection: sa.Connection, table: sa.Table, matcher: Matcher, renamed: dict[str, str]) -> int:
    texts, row_id = _texts(table), _row_id(connection, table)
    if not texts or not matcher.values:
        return 0
    keys = list(_find_rows(connection, table, texts, matcher))
    for key in keys:
        row = connection.execute(sa.select(*texts).select_from(table).where(row_id == key)).mappings().one()
        changed = {
            name: matcher.replace(str(text), by=ERASED, names=renamed)
            for name, text in row.items()
            if text and matcher.find_texts([str(text)])
        }
        connection.execute(sa.update(table).where(row_id == key).values(changed))
    return len(keys)


def _find_rows(
    connection: sa.Connection, table: sa.Table, cells: Sequence[sa.ColumnElement[Any]], matcher: Matcher
) -> Iterator[Any]:
    """Yield what finds a row again in whose texts an identifier stands; the database puts those of a row together."""
    first, *others = (sa.func.coalesce(sa.cast(cell, sa.Text), "") for cell in cells)
    joined: sa.ColumnElement[str] = sum((_BETWEEN + each for each in others), start=first)
    selected = sa.select(_row_id(connection, table), joined).select_from(table)
    for rows in chunked(connection.execute(selected.execution_options(yield_per=_ROWS)), _ROWS):
        yield from (rows[place][0] for place in matcher.find_texts([text for _, text in rows]))


def _texts(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, sa.String)]


def _bytes(table: sa.Table) -> list[sa.ColumnElement[str]]:
    """Return the columns of bytes as PostgreSQL writes them, with what is text in them as text."""
    return [sa.func.encode(column, "escape") for column in table.columns if isinstance(column.type, sa.LargeBinary)]


def _row_id(connection: sa.Connection, table: sa.Table) -> sa.ColumnElement[Any]:
    """Return what a row is found by again: its place, which every table of both databases has."""
    place = "rowid" if connection.dialect.name == "sqlite" else "ctid"
    return sa.literal_column(f"{connection.dialect.identifier_preparer.quote(table.name)}.{place}")


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


@contextmanager
def _unguarded(connection: sa.Connection, table: sa.Table) -> Iterator[None]:
    """Let rows of an append-only table be changed for the length of a block, within the transaction."""
    quoted = connection.dialect.identifier_preparer.quote(table.name)
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"alter table {quoted} disable trigger user")
        yield
        connection.exec_driver_sql(f"alter table {quoted} enable trigger user")
        return
    query = sa.text("select name, sql from sqlite_master where type = 'trigger' and tbl_name = :table")
    triggers = connection.execute(query, {"table": table.name}).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f"drop trigger {connection.dialect.identifier_preparer.quote(name)}")
    yield
    for _, statement in triggers:
        connection.exec_driver_sql(statement)
