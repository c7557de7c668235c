"""Erasing the customers' rows from every table that a connection of DuckDB writes.

Nothing is listed: tables and columns are read from the database. A table whose rows belong to customers has a column of
a name in `KEYS`, or one that holds nothing but ids of customers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import duckdb

from privacy.identifiers import Identifiers, is_distinctive
from privacy.traces import ERASED, Action, ErasureError, Trace

if TYPE_CHECKING:
    import pyarrow as pa

Mode = Literal["erasure", "anonymisation"]
OWNER = "customer_id"
MEMORY = "2GB"  # that DuckDB takes for it; what does not fit waits on the disk
_CUSTOMERS, _DISTINCT = "erased_customers", "erased_distinct"
_TOKENS, _MADE_KEYS, _KNOWN = "erased_tokens", "erased_keys", "known_customers"
_NAMES_ONE, _WITHOUT = "names_erased", "without_erased"  # functions of the connection
KEYS = (OWNER, "canonical_id", "canonical_before", "canonical_after", "left_id", "right_id")
_COLUMNS = """
    select schema_name, table_name, list({name: column_name, type: data_type} order by column_index)
    from duckdb_columns() where database_name = current_database() and not internal
    and (schema_name, table_name) in (
        select (schema_name, table_name) from duckdb_tables()
        where database_name = current_database() and not temporary and estimated_size > 0
    ) group by all order by all
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as the file has it: `columns` by name with their types."""

    schema: str
    name: str
    columns: dict[str, str]

    @property
    def place(self) -> str:
        """Schema and name, as people write them."""
        return f"{self.schema}.{self.name}"

    @property
    def address(self) -> str:
        """Schema and name, as SQL takes them."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def keys(self) -> list[str]:
        """The columns that name a customer; where rows have an owner, it alone decides whose they are."""
        named = [name for name in self.columns if name in KEYS]
        return [OWNER] if OWNER in named else named

    @property
    def references(self) -> list[str]:
        """The columns that name any customer, whose rows they may be."""
        return [name for name in self.columns if name in KEYS or name.endswith(OWNER)]

    @property
    def documents(self) -> list[str]:
        """The columns that may hold whole rows of a source, of tables that no column makes anybody's."""
        return [] if self.keys else [name for name, kind in self.columns.items() if kind == "JSON"]

    @property
    def texts(self) -> list[str]:
        """The columns in which an identifier could stand."""
        return [name for name, kind in self.columns.items() if "VARCHAR" in kind or kind == "JSON"]


def quote(name: str) -> str:
    """Return a name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, kw_only=True)
class Eraser:
    """Changes the tables of the current database of a `connection`, whose transaction is the caller's."""

    connection: duckdb.DuckDBPyConnection
    identifiers: Identifiers
    mode: Mode

    def erase(self) -> Iterator[Trace]:
        """Change every table in which an identifier stands; yield what was done."""
        for table in self.tables:
            before = self._count(f"select count(*) from {table.address}")
            for action, rows in self._change(table):
                after = self._count(f"select count(*) from {table.address}")
                yield Trace(place=table.place, action=action, rows=rows, rows_before=before, rows_after=after)
                before = after

    def digest_others(self) -> dict[str, tuple[int, str]]:
        """Return rows and a digest of what is nobody's or another customer's, by table, whatever the order of rows.

        Columns that are changed in rows that stay are left out; an anonymisation keeps all rows, and all else in them.
        """
        return {table.place: self._digest(table) for table in self.tables}

    def refuse_changes(self, before: Mapping[str, tuple[int, str]], *, place: str) -> None:
        """Raise ErasureError where rows of anybody else are not as they were digested before."""
        after = self.digest_others()
        changed = sorted(table for table in before if before[table] != after[table])
        if changed:
            raise ErasureError(
                f"{place}: rows of other customers would change in {', '.join(changed)}, so nothing was erased. "
                "An id of the request also names something else there; look at `holdfast privacy plan`."
            )

    def _digest(self, table: Table) -> tuple[int, str]:
        is_renamed = self.mode == "anonymisation"
        references = self._find_renamed(table) if is_renamed else {*table.references} - {*self._keys[table.place]}
        spared = {*self._traced[table.place], *references}
        names = [quote(name) for name in table.columns if name not in spared]
        digest = f"coalesce(sum(hash({', '.join(names)})::hugeint), 0)" if names else "0"
        query = f"select count(*), {digest}::varchar from {table.address} where {self._stays(table)}"
        return self.connection.execute(query).fetchone() or (0, "")

    def _stays(self, table: Table) -> str:
        return f"not {self._is_theirs(table)}" if self._is_deleted_from(table) else "true"

    def _is_deleted_from(self, table: Table) -> bool:
        """Tell whether the customers' rows go: of an anonymisation only those that name them by more than an id."""
        return self.mode == "erasure" or not self._keys[table.place]

    def _find_renamed(self, table: Table) -> list[str]:
        return [name for name in table.columns if name in {*table.references, *self._keys[table.place]}]

    def _change(self, table: Table) -> Iterator[tuple[Action, int]]:
        yield from self._delete(table) if self._is_deleted_from(table) else self._rename(table)
        if self.mode == "anonymisation":
            yield from self._rename_keys(table)
        yield from self._empty(table)
        yield from self._replace_texts(table)

    def _delete(self, table: Table) -> Iterator[tuple[Action, int]]:
        if rows := self._count(f"delete from {table.address} where {self._is_theirs(table)}"):
            yield "deleted", rows

    def _rename(self, table: Table) -> Iterator[tuple[Action, int]]:
        rows = 0
        for name in self._find_renamed(table):
            column = quote(name)
            rows += self._count(
                f"update {table.address} set {column} = renamed from {_CUSTOMERS} e where {column} = e.id"
            )
        if rows:
            yield "renamed", rows

    def _rename_keys(self, table: Table) -> Iterator[tuple[Action, int]]:
        rows = sum(
            self._count(f"update {table.address} set {column} = renamed from {_MADE_KEYS} e where {column} = e.id")
            for column in map(quote, self._find_texts(table))
        )
        if rows:
            yield "renamed", rows

    def _find_texts(self, table: Table) -> list[str]:
        return [name for name in self._traced[table.place] if table.columns[name] == "VARCHAR"]

    def _empty(self, table: Table) -> Iterator[tuple[Action, int]]:
        """Leave references to the customers, and their personal tokens, empty in rows that stay."""
        columns = {*self._find_texts(table), *table.references} - {*self._keys[table.place]}
        rows = sum(
            self._count(
                f"update {table.address} set {column} = null where {column} in (select id from {_CUSTOMERS}) "
                f"or {column} in (select id from {_TOKENS})"
            )
            for column in map(quote, sorted(columns))
        )
        if rows:
            yield "emptied", rows

    def _replace_texts(self, table: Table) -> Iterator[tuple[Action, int]]:
        """Write `ERASED` where an identifier stands in another text; a list or structure that holds one is emptied."""
        rows = emptied = 0
        for name in self._traced[table.place]:
            column, is_text = quote(name), table.columns[name] == "VARCHAR"
            value = f"{_WITHOUT}({column})" if is_text else "null"
            changed = self._count(
                f"update {table.address} set {column} = {value} where {_NAMES_ONE}({column}::varchar)"
            )
            rows, emptied = rows + changed * is_text, emptied + changed * (not is_text)
        yield from (("replaced", rows),) if rows else ()
        yield from (("emptied", emptied),) if emptied else ()

    @cached_property
    def _traced(self) -> dict[str, list[str]]:
        """The columns of each table in whose texts an identifier stands, in rows that stay."""
        return {table.place: self._find_traced(table) for table in self.tables}

    def _find_traced(self, table: Table) -> list[str]:
        if not table.texts:
            return []
        cells = ", ".join(f"count_if({_NAMES_ONE}({quote(name)}::varchar))" for name in table.texts)
        query = f"select {cells} from {table.address} where {self._stays(table)}"
        row = self.connection.execute(query).fetchone() or ()
        return [name for name, rows in zip(table.texts, row, strict=True) if rows]

    def _is_theirs(self, table: Table) -> str:
        keys = self._keys[table.place]
        theirs = [f"{quote(key)} in (select id from {_CUSTOMERS})" for key in keys]
        theirs += [f"{quote(name)} in (select id from {_TOKENS})" for name in self._token_columns[table.place]]
        theirs += [
            f"json_extract_string({name}, '$.{OWNER}') in (select id from {_CUSTOMERS}) "
            f"or {_NAMES_ONE}({name}::varchar)"
            for name in map(quote, table.documents)
        ]
        return f"coalesce({' or '.join(theirs) or 'false'}, false)"

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that hold rows."""
        rows = self.connection.execute(_COLUMNS).fetchall()
        self._remember_identifiers()
        self._make_functions()
        return [
            Table(schema=schema, name=name, columns={each["name"]: each["type"] for each in columns})
            for schema, name, columns in rows
        ]

    @cached_property
    def _keys(self) -> dict[str, list[str]]:
        """The columns of each table that name customers, by their own name or because they hold nothing but ids."""
        return {table.place: table.keys or self._find_keys(table) for table in self.tables}

    @cached_property
    def _token_columns(self) -> dict[str, list[str]]:
        """The columns by whose tokens rows that name nobody are the customers': what is kept by a value of theirs."""
        return {
            table.place: [] if self._keys[table.place] else self._find_holding(table, _TOKENS) for table in self.tables
        }

    def _find_holding(self, table: Table, values: str) -> list[str]:
        """Return the columns in which one of the `values` stands, asked in one go."""
        names = [name for name in table.texts if table.columns[name] == "VARCHAR"]
        if not names:
            return []
        cells = ", ".join(f"count_if({quote(name)} in (select id from {values}))" for name in names)
        row = self.connection.execute(f"select {cells} from {table.address}").fetchone() or ()
        return [name for name, rows in zip(names, row, strict=True) if rows]

    def _find_keys(self, table: Table) -> list[str]:
        return [
            name
            for name in (self._find_holding(table, _DISTINCT) if self._knows_customers else ())
            if not self._count(f"select count(*) from {table.address} where {quote(name)} not in (from {_KNOWN})")
        ]

    @cached_property
    def _knows_customers(self) -> bool:
        """Whether a table has a row per customer; then the ids of all customers are listed, theirs among them."""
        lists = [table.address for table in self.tables if table.name == "customers" and OWNER in table.columns]
        ids = " union ".join(f"select {OWNER} from {each} where {OWNER} is not null" for each in lists)
        if lists:
            self.connection.execute(f"create or replace temp table {_KNOWN} as {ids} union select id from {_CUSTOMERS}")
        return bool(lists)

    def _make_functions(self) -> None:
        """Let SQL ask whether a text holds an identifier, and for the text without it."""
        make = self.connection.create_function  # it evaluates annotations, which a lambda has none of
        make(_NAMES_ONE, lambda texts: self._name_one(texts), ["VARCHAR"], "BOOLEAN", type="arrow")  # type: ignore[call-overload] # noqa: PLW0108
        make(_WITHOUT, lambda text: self._take_out(text), ["VARCHAR"], "VARCHAR")  # noqa: PLW0108

    def _name_one(self, texts: "pa.ChunkedArray") -> "pa.Array":
        import numpy as np
        import pyarrow as pa

        cells = texts.combine_chunks()
        _, offsets, data = cells.buffers()
        places = np.frombuffer(offsets, dtype=np.int32)[cells.offset : cells.offset + len(cells) + 1]
        holds = np.zeros(len(cells), dtype=bool)
        written = data.to_pybytes()[places[0] : places[-1]] if data else b""
        holds[self.identifiers.matcher.find_cells(written, places - places[0])] = True
        return pa.array(holds)

    def _take_out(self, text: str) -> str:
        return self.identifiers.matcher.replace(text, by=ERASED)

    def _remember_identifiers(self) -> None:
        names, ids = self.identifiers.new_names if self.mode == "anonymisation" else {}, self.identifiers.customers
        self._fill(_CUSTOMERS, ids, names)
        self._fill(_MADE_KEYS, self.identifiers.keys, names)
        self._fill(_TOKENS, self.identifiers.tokens, {})
        self._fill(_DISTINCT, [each for each in ids if is_distinctive(each)], {})

    def _fill(self, table: str, values: Sequence[str], names: Mapping[str, str]) -> None:
        self.connection.execute(
            f"create or replace temp table {table} as "
            "select unnest($values::varchar[]) as id, unnest($names::varchar[]) as renamed",
            {"values": list(values), "names": [names.get(value) for value in values]},
        )

    def _count(self, statement: str) -> int:
        """Return the one number that a statement answers: what it counts, or how many rows it changed."""
        row = self.connection.execute(statement).fetchone()
        return int(row[0]) if row else 0
