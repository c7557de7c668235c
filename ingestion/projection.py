"""From source rows to canonical rows in one set-based query: cast, judge, tokenise; no row is lost on the way.

The query yields every canonical column in its declared type, `_fault` (null for a good row, else the position of its
first fault in `Projection.faults`), `_mended` (the sum of 2 to the power of the positions of what was repaired, in
`Projection.fixes`), and for bad rows `_raw` (the mapped values as JSON) and `_key`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import duckdb

from company.company_file import TOKEN_KEY, Company, Feed
from company.contract import ColumnType, Table
from company.file_faults import suggest, without_values
from ingestion.cells import FLOAT_ID, GROUPED, Cell, held, mapped_cell, personal_cell, unmapped_cell
from ingestion.expressions import Expression, ExpressionError, parse, refuse_clause
from ingestion.readers.extract import Extract, quoted
from ingestion.tokens import Tokeniser, tokeniser
from ingestion.values import COMMA, Reading

_MISSING_COLUMN = re.compile(r'[Cc]olumn "([^"]+)" (?:not found|does not exist)')
_BITS = 63
_TEXT_MEND = (
    "Values of csv and json files are text: write `cast(column as double)`, and a value that does not fit sets only "
    "its row aside."
)


@dataclass(frozen=True, kw_only=True)
class RowFault:
    """Why a row cannot be taken: the canonical column (or the clause) and the reason in words."""

    column: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A value that was read although it was not written as it should be: its column and the rule that repaired it."""

    column: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A query that yields judged canonical rows; `parameters` are bound by name.

    `place` names what tells, of rows of the stage, which came later, if that can be told. Two kinds of fixes are
    no repairs yet, because the other values of their column decide: a number whose point may group thousands, and an id
    written as `1001.0`.
    """

    query: str
    faults: tuple[RowFault, ...]
    fixes: tuple[Fix, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    place: str | None = None

    @property
    def doubted(self) -> dict[int, int]:
        """Places of fixes of numbers in doubt, with the places of the faults that decide them."""
        deciding = {fault.column: place for place, fault in enumerate(self.faults) if fault.reason == COMMA}
        places = ((place, fix.column) for place, fix in enumerate(self.fixes) if fix.rule == GROUPED)
        return {place: deciding[column] for place, column in places if column in deciding}

    @property
    def float_ids(self) -> dict[int, str]:
        """Places of fixes of ids written as floating-point numbers, with their columns."""
        return {place: fix.column for place, fix in enumerate(self.fixes) if fix.rule == FLOAT_ID}


@dataclass(frozen=True, kw_only=True)
class Mapper:
    """The mapping of one feed of `company` into `table`, parsed once; `on` is the landing day, for ages.

    With `keeps_clear` the query also yields, per mapped personal column, its clear text under the name `column^`.
    """

    connection: duckdb.DuckDBPyConnection
    company: Company
    table: str
    feed: Feed
    secrets: Mapping[str, str]
    on: date
    keeps_clear: bool = False

    @cached_property
    def expressions(self) -> dict[str, Expression]:
        """The mapped expressions by canonical column; raises SourceError for one that is not SQL."""
        return {name: self._parse(self.feed.key_of(name), text) for name, text in self.feed.expressions.items()}

    @cached_property
    def where(self) -> Expression | None:
        """The parsed `where`, if there is one."""
        return self._parse("where", self.feed.where) if self.feed.where else None

    @cached_property
    def grouping(self) -> str | None:
        """The `group_by`, if there is one; raises SourceError when it is anything else than what groups rows."""
        if self.feed.group_by:
            try:
                refuse_clause(self.connection, self.feed.group_by)
            except ExpressionError as error:
                problem = f"`{self.feed.group_by}` is not what groups rows ({error})."
                raise self.company.error(
                    f"{self.key}.group_by", problem, "Write column names or expressions."
                ) from None
        return self.feed.group_by

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every part of every source column name that the mapping mentions."""
        conditions = [self.where] if self.where else []
        grouping = re.findall(r"\w+", self.feed.group_by or "")
        return frozenset().union(*(e.reads for e in [*self.expressions.values(), *conditions]), grouping)

    @cached_property
    def optional_reads(self) -> frozenset[str]:
        """What only columns that may stay empty are mapped from."""
        required = {column.name for column in self.contract.columns if column.is_required}
        needed = [e.reads for name, e in self.expressions.items() if name in required]
        needed += [self.where.reads] if self.where else []
        return self.reads.difference(*needed, re.findall(r"\w+", self.feed.group_by or ""))

    @cached_property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """The names, in their parts, of the fields that the mapping mentions."""
        conditions = [self.where] if self.where else []
        paths = (path for expression in [*self.expressions.values(), *conditions] for path in expression.paths)
        own = (path[1:] if path[0] == self.feed.relation else path for path in paths)
        return frozenset(path for path in own if path)

    @cached_property
    def optional_paths(self) -> frozenset[tuple[str, ...]]:
        """Those of the paths that only columns are mapped from which may stay empty."""
        return frozenset(path for path in self.paths if set(path) <= self.optional_reads)

    @cached_property
    def personal(self) -> tuple[str, ...]:
        """The personal columns that this feed maps."""
        columns = self.contract.columns
        return tuple(column.name for column in columns if column.personal and column.name in self.feed.columns)

    @cached_property
    def prose(self) -> tuple[str, ...]:
        """The columns of free text that this feed maps."""
        return tuple(name for name in self.personal if self.contract.column(name).is_prose)

    @property
    def reading(self) -> Reading:
        """How text of the feed is read."""
        return Reading(writing=self.feed, zone=self.company.sources[self.feed.source].timezone)

    @property
    def contract(self) -> Table:
        """The canonical table that is filled."""
        return self.company.contract_of(self.table)

    @property
    def key(self) -> str:
        """Where the feed stands in the company file."""
        return self.company.key_of(self.table, self.feed)

    def project(self, extract: Extract) -> Projection:
        """Return the query that judges the rows of `extract`.

        Raises SourceError when an expression names a column that does not exist or gives an unusable type.
        """
        types = self._types(extract)
        self._refuse_epochs(types)
        cells = [self._cell(name, types) for name in self.contract.names]
        return self._assemble(extract, cells)

    def _parse(self, part: str, text: str) -> Expression:
        try:
            return parse(self.connection, text, reading=self.reading, is_grouped=self.feed.group_by is not None)
        except ExpressionError as error:
            fix = (
                "Write one SQL expression over the source's columns; a column whose name is a word of SQL, such as "
                "`at`, needs double quotes around it."
            )
            problem = f"`{text}` is not one SQL expression ({error})."
            raise self.company.error(f"{self.key}.{part}", problem, fix) from None

    def _refuse_epochs(self, types: Mapping[str, str]) -> None:
        for column in self.contract.columns:
            kind = types.get(column.name, "")
            if column.type is ColumnType.MOMENT and kind and not kind.startswith(("TIMESTAMP", "DATE", "VARCHAR")):
                problem = f"a moment is expected, and this is of type {kind}."
                fix = "Write `to_timestamp(column)` for seconds since 1970, `epoch_ms(column)` for milliseconds."
                raise self.company.error(f"{self.key}.{self.feed.key_of(column.name)}", problem, fix)

    def _cell(self, name: str, types: Mapping[str, str]) -> Cell:
        column, expression = self.contract.column(name), self.expressions.get(name)
        if column.is_credited and self.company.cleaning.returns.negative_amounts:
            column = replace(column, low=None)
        if expression is None:
            birth = self.contract.column("birth_date") if name == "age_band" else None
            return unmapped_cell(column, frozenset(self.feed.columns), on=self.on.isoformat(), birth=birth)
        if column.personal:
            has_kind = "kind" in self.feed.columns
            return personal_cell(column, has_kind=has_kind, on=self.on.isoformat(), reading=self.reading)
        return mapped_cell(
            column,
            types[name],
            expression,
            reading=self.reading,
            tokens=self.tokens,
            on=self.on,
            bounds=[bound for bound in self.company.bounds_of(self.table) if bound.column == name],
        )

    def _select(
        self, extract: Extract, items: Mapping[str, str], *, filtered: bool = True, grouped: bool = True
    ) -> str:
        selected = ", ".join(f"{sql} as {quoted(name + ':')}" for name, sql in items.items())
        clauses = [f"select {selected} from {extract.relation}"]
        if self.where and filtered:
            clauses.append(f"where ({self.where.text})" + (f" or ({self.where.lost})" if self.where.lost else ""))
        if self.grouping and grouped:
            clauses.append(f"group by {self.grouping}")
        names = ", ".join(f"{quoted(name + ':')} as {quoted(name)}" for name in items)
        return f"select {names} from ({' '.join(clauses)})"

    def _items(self) -> dict[str, str]:
        items = {key: sql for name, expression in self.expressions.items() for key, sql in _items(name, expression)}
        return items | ({"where?": f"({self.where.lost})"} if self.where and self.where.lost else {})

    def _types(self, extract: Extract) -> dict[str, str]:
        """Return the types of the mapped expressions; raises SourceError for the first part DuckDB cannot bind."""
        whole = self._described(extract, self._select(extract, self._items()))
        if isinstance(whole, dict):
            return whole
        parts = [
            ("from", self._select(extract, {"one": "1"}, filtered=False, grouped=False)),
            ("where", self._select(extract, {"one": "1"}, grouped=False)),
            ("group_by", self._select(extract, {"one": "1"})),
            *((self.feed.key_of(n), self._select(extract, dict(_items(n, e)))) for n, e in self.expressions.items()),
        ]
        refusals = ((part, self._described(extract, query)) for part, query in parts)
        part, refusal = next(((part, said) for part, said in refusals if isinstance(said, str)), ("", whole))
        described = self._described(extract, f"select * from {extract.relation}")
        known = list(described) if isinstance(described, dict) else []
        texts = {self.feed.key_of(name): text for name, text in self.feed.expressions.items()}
        fault = _unquoted(texts.get(part, ""), known) or _told(refusal, known, is_text=extract.is_text)
        raise self.company.error(f"{self.key}.{part}".rstrip("."), *fault)

    def _described(self, extract: Extract, select: str) -> dict[str, str] | str:
        try:
            rows = self.connection.execute(f"describe {_with(extract.prelude, select)}").fetchall()
        except duckdb.Error as error:
            return str(error)
        return {row[0]: row[1] for row in rows}

    @cached_property
    def tokens(self) -> Tokeniser | None:
        """What makes tokens, None without a key where no personal column is mapped; raises SourceError."""
        if not self.personal and not self.secrets.get(TOKEN_KEY):
            return None
        key = f"{self.key}.columns.{self.personal[0]}" if self.personal else self.key
        fix = f"Set `{TOKEN_KEY}` to a long random text, keep it for good, and never write it into this file."
        if not self.secrets.get(TOKEN_KEY):
            problem = f"personal data needs the environment variable `{TOKEN_KEY}`, which is not set."
            raise self.company.error(key, problem, fix)
        try:
            return tokeniser(self.secrets[TOKEN_KEY])
        except ValueError as error:
            problem = f"the environment variable `{TOKEN_KEY}` cannot be used: {error}."
            raise self.company.error(key, problem, fix) from None

    def _assemble(self, extract: Extract, cells: Sequence[Cell]) -> Projection:
        conditions = [(RowFault(column=c.name, reason=reason), sql) for c in cells for sql, reason in c.bad]
        if self.where and self.where.lost:
            conditions.insert(0, (RowFault(column="where", reason="unreadable"), 'coalesce("where?", false)'))
        whens = " ".join(f"when {sql} then {place}" for place, (_, sql) in enumerate(conditions))
        fault = f"case {whens} end::smallint" if conditions else "null::smallint"
        secret = [cell for cell in cells if cell.personal]
        mapped = self._select(extract, self._items())
        if secret and extract.is_ordered:  # the join with the tokens loses the order of the rows
            mapped = f"select *, row_number() over () as _place from ({mapped})"
        steps = [*extract.prelude, f"mapped as {'materialized ' if secret else ''}({mapped})"]
        steps += _token_steps(secret, self.tokens) if secret and self.tokens else []
        trimmed = "".join(f", {cell.trimmed} as {quoted(cell.name + '-')}" for cell in cells if cell.trimmed)
        filled = "".join(f", {cell.filled} as {quoted(cell.name + '~')}" for cell in cells if cell.filled)
        parsed = "".join(f", {cell.parsed} as {quoted(cell.name + '@')}" for cell in cells if cell.parsed)
        values = ", ".join(f"{cell.value} as {held(cell.name)}" for cell in cells)
        steps.append(f"trimmed as (select *{trimmed} from {'tokenised' if secret else 'mapped'})")
        steps.append(f"filled as (select *{filled} from trimmed)")
        steps.append(f"parsed as (select *{parsed} from filled)")
        steps.append(f"typed as (select *, {values} from parsed)")
        fixes = [(Fix(column=c.name, rule=rule), sql) for c in cells for sql, rule in c.fixed]
        bits = "bigint" if len(fixes) < _BITS else "hugeint"
        fixed = " + ".join(
            f"case when {sql} then {2**place}::{bits} else 0 end" for place, (_, sql) in enumerate(fixes)
        )
        steps.append(f"classified as (select *, {fault} as _fault, ({fixed or 0})::{bits} as _mended from typed)")
        place = ["_place"] if secret and extract.is_ordered else []
        query = _with(steps, f"select {', '.join([*self._outputs(cells), *place])} from classified")
        return Projection(
            query=query,
            faults=tuple(fault for fault, _ in conditions),
            fixes=tuple(fix for fix, _ in fixes),
            parameters=self.tokens.parameters if self.tokens and self.tokens.is_in(query) else {},
            place=("_place" if secret else "row_id") if extract.is_ordered else None,
        )

    def _outputs(self, cells: Sequence[Cell]) -> list[str]:
        shown = {cell.name: cell.shown for cell in cells if cell.shown}
        raw = "to_json({" + ", ".join(f"{quoted(name)}: {sql}" for name, sql in shown.items()) + "})"
        key = f"concat_ws('|', {', '.join(shown.get(name) or 'null' for name in self.contract.key)})"
        values = [f"{held(cell.name)} as {quoted(cell.name)}" for cell in cells]
        clear = [f"{cell.clear} as {quoted(cell.name + '^')}" for cell in cells if cell.clear and self.keeps_clear]
        set_aside = [
            f"case when _fault is not null then {sql} end as {name}" for sql, name in ((raw, "_raw"), (key, "_key"))
        ]
        return [*values, *clear, "_fault", "_mended", *set_aside]


def _items(name: str, expression: Expression) -> Iterator[tuple[str, str]]:
    """Yield an expression under its name, and under signs behind it what it lost, was given, and what is in doubt."""
    parts = {
        "": expression.text,
        "?": expression.lost,
        "<": expression.given,
        ",": expression.has_comma,
        ".": expression.may_be_grouped,
    }
    yield from ((name + sign, f"({sql})") for sign, sql in parts.items() if sql)


def _token_steps(secret: Sequence[Cell], tokens: Tokeniser) -> list[str]:
    """Return the steps that compute each token once, however many rows carry the value, and bring it to the rows."""
    clear = " union all ".join(f"select {cell.personal} as clear from mapped" for cell in secret)
    each = f"select distinct clear from ({clear}) where clear is not null"
    known = f"select clear, {tokens.token('clear')} as token from ({each})"
    aliases = [quoted(cell.name + "#") for cell in secret]
    named = ", ".join(f"{alias}.token as {alias}" for alias in aliases)
    pairs = zip(aliases, secret, strict=True)
    joins = " ".join(f"left join tokens {alias} on {alias}.clear = {cell.personal}" for alias, cell in pairs)
    return [f"tokens as ({known})", f"tokenised as (select mapped.*, {named} from mapped {joins})"]


def _with(steps: Sequence[str], select: str) -> str:
    return f"with {', '.join(steps)} {select}" if steps else select


def _unquoted(text: str, known: Sequence[str]) -> tuple[str, str] | None:
    """Return the problem and the fix where an expression is the name of a column that needs quotes."""
    name = next((name for name in known if name.casefold() == text.strip().casefold()), None)
    if name is None:
        return None
    return f"the name of the column `{name}` is no plain word.", f"Put it in quotes of both kinds: '{quoted(name)}'."


def _told(refusal: str, known: Sequence[str], *, is_text: bool) -> tuple[str, str]:
    """Turn DuckDB's refusal, of a part that reads the columns `known`, into a problem and a fix."""
    missing = _MISSING_COLUMN.search(refusal)
    if missing:
        near = re.findall(r'"([^"]+)"', refusal.partition("Candidate bindings:")[2].partition("\n")[0])
        fix = suggest(missing[1], known or near) if known or near else "Correct its name."
        problem = f"there is no column `{missing[1]}`"
        return (f"{problem};", f"d{fix[1:]}") if fix.startswith("Did") else (f"{problem}.", fix)
    said = refusal.partition(": ")[2].strip().splitlines()[0]
    return f"DuckDB refuses it ({without_values(said)}).", _TEXT_MEND if is_text else "Correct the expression."
