"""Erasing from a SQL database, whatever its tables: the customers' rows, what hangs on them, and ids in other texts."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from company.encryption import sqlite_driver, unlock
from privacy.identifiers import Identifiers
from privacy.matching import Matcher
from privacy.traces import ERASED, Action, Evidence, Trace

OWNER = "customer_id"
_PIECE, _ROWS = 400, 2_000


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
            free.exec_driver_sql(f"vacuum full {connection.dialect.identifier_preparer.quote(place)}")

    def _erase(
        self, connection: sa.Connection, identifiers: Identifiers, *, renamed: dict[str, str]
    ) -> Iterator[Trace]:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for table in reversed(metadata.sorted_tables):
            before = _count(connection, table)
            with _unguarded(connection, table):
                for action, rows in self._change(connection, table, identifiers, renamed):
                    after = _count(connection, table)
                    yield Trace(place=table.name, action=action, rows=rows, rows_before=before, rows_after=after)
                    before = after

    def _change(
        self, connection: sa.Connection, table: sa.Table, identifiers: Identifiers, renamed: dict[str, str]
    ) -> Iterator[tuple[Action, int]]:
        yield from _named("renamed", self._rename(connection, table, renamed))
        if not renamed and (table.name, OWNER) not in self.blanked:
            yield from _named("deleted", _delete_theirs(connection, table, identifiers))
        if not renamed:
            yield from _named("emptied", self._blank(connection, table, identifiers.customers))
        yield from _named("deleted", _delete_keys(connection, table, () if renamed else identifiers.keys))
        yield from _named("replaced", _replace_texts(connection, table, identifiers, renamed))

    def _rename(self, connection: sa.Connection, table: sa.Table, renamed: dict[str, str]) -> int:
        return sum(
            connection.execute(sa.update(table).where(column == old).values({column.name: new})).rowcount
            for column in self._find_references(table)
            for old, new in renamed.items()
        )

    def _blank(self, connection: sa.Connection, table: sa.Table, customers: Sequence[str]) -> int:
        blanked = [column for column in table.columns if (table.name, column.name) in self.blanked]
        return sum(
            connection.execute(sa.update(table).where(column.in_(piece)).values({column.name: ERASED})).rowcount
            for column in blanked
            for piece in _pieces(customers)
        )

    def _find_references(self, table: sa.Table) -> list[sa.Column[Any]]:
        return [each for each in table.columns if each.name == OWNER or (table.name, each.name) in self.blanked]


def _named(action: Action, rows: int) -> Iterator[tuple[Action, int]]:
    if rows:
        yield action, rows


def _delete_theirs(connection: sa.Connection, table: sa.Table, identifiers: Identifiers) -> int:
    rows = 0
    for piece in _pieces(identifiers.customers):
        condition = _theirs(table, piece)
        if condition is not None:
            rows += connection.execute(sa.delete(table).where(condition)).rowcount
    return rows


def _theirs(table: sa.Table, customers: Sequence[str]) -> sa.ColumnElement[bool] | None:
    """Return the condition of rows of the customers, and of rows that refer to one; None where a table has neither."""
    conditions = [table.c[OWNER].in_(customers)] if OWNER in table.c else []
    for key in table.foreign_keys:
        parent = None if key.column.table is table else _theirs(key.column.table, customers)
        if parent is not None:
            conditions.append(key.parent.in_(sa.select(key.column).where(parent)))
    return sa.or_(*conditions) if conditions else None


def _delete_keys(connection: sa.Connection, table: sa.Table, keys: Sequence[str]) -> int:
    """Delete rows that are nobody's by name and about one of the customers' messages or alerts."""
    if OWNER in table.c:
        return 0
    return sum(
        connection.execute(sa.delete(table).where(column.in_(piece))).rowcount
        for column in _texts(table)
        for piece in _pieces(keys)
    )


def _replace_texts(
    connection: sa.Connection, table: sa.Table, identifiers: Identifiers, renamed: dict[str, str]
) -> int:
    matcher, texts = Matcher(values=identifiers.searched), _texts(table)
    if not texts or not matcher.values:
        return 0
    row_id = _row_id(connection, table)
    found = [
        (key, changed)
        for rows in _pieces(connection.execute(sa.select(row_id, *texts)).yield_per(_ROWS), _ROWS)
        for key, changed in _find_changed(rows, [column.name for column in texts], matcher, renamed)
    ]
    for key, changed in found:
        connection.execute(sa.update(table).where(row_id == key).values(changed))
    return len(found)


def _find_changed(
    rows: Sequence[Sequence[Any]], names: Sequence[str], matcher: Matcher, renamed: dict[str, str]
) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield the key of each row in whose texts an identifier stands, with the texts as they should be."""
    cells = [(row[0], name, str(cell)) for row in rows for name, cell in zip(names, row[1:], strict=True) if cell]
    found: dict[Any, dict[str, str]] = {}
    for place in matcher.find_texts([text for _, _, text in cells]):
        key, name, text = cells[place]
        found.setdefault(key, {})[name] = matcher.replace(text, by=ERASED, names=renamed)
    yield from found.items()


def _texts(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, sa.String)]


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


def _pieces(values: Iterable[Any], size: int = _PIECE) -> Iterator[list[Any]]:
    iterator = iter(values)
    while piece := list(islice(iterator, size)):
        yield piece
