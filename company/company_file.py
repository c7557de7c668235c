"""`company.yaml` as frozen, validated types: who the company is, where its rows come from and how they are mapped."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from company.churn import ChurnDefinition
from company.cleaning import Bound, Cleaning
from company.contract import TABLES, Column, ColumnType, Table
from company.contradictions import find_contradictions
from company.encryption import KEY_NAME
from company.file_faults import CompanyError, Fault, SourceError
from company.industries import load_industry, names
from company.validation import explain
from company.yaml_file import find_line, read_yaml

TOKEN_KEY = "HOLDFAST_TOKEN_KEY"  # noqa: S105 - the name of a secret, not the secret
SNAPSHOT = "snapshot"  # the key of a company that has one flat table and nothing else
VAULT_KEYS = ("HOLDFAST_VAULT_URL", "HOLDFAST_MASTER_KEY", "HOLDFAST_VAULT_KEYS_URL")
_NAME = r"^[a-z][a-z0-9_]*$"
_EXTRA = "extra_"
_ROWS_TO_TRY = 10_000
_WITHOUT_HISTORY = Fault(
    key=SNAPSHOT,
    problem="a company with one flat table has no sources, tables and days, which this command needs.",
    fix="`holdfast check` and `holdfast run` read such a file (docs/flat-table.md); connect `tables` for all else.",
)
_EXTRA_TYPES = {"text": ColumnType.TEXT, "number": ColumnType.NUMBER, "yes-no": ColumnType.FLAG}


def _check_zone(name: object) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as `Europe/Berlin` or `UTC`") from None


def _as_sql(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Zone = Annotated[str, BeforeValidator(_check_zone)]
Sql = Annotated[str, BeforeValidator(_as_sql), Field(min_length=1)]
SourceName = Annotated[str, Field(pattern=_NAME)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Closure(_Part):
    """Days on which the company was closed, both included: a feed without rows there lacks nothing."""

    first: date = Field(alias="from")
    last: date = Field(alias="until")

    @model_validator(mode="after")
    def _days_are_in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("`until` lies before `from`")
        return self


class Source(_Part):
    """Where rows come from, and which reader reads it; each reader derives its own settings from this.

    `timezone` is the zone of moments written without one.
    """

    reader: str
    timezone: Zone = "UTC"

    def secret_names(self) -> tuple[str, ...]:
        """Return the names of the secrets that the reader looks for."""
        return ()

    def files_of(self, folder: Path) -> tuple[Path, ...]:
        """Return the files that the source reads, if it reads any; relative addresses start at `folder`."""
        del folder
        return ()

    def rows_to_try(self, table: str) -> int:
        """Return how many rows of `table` a check reads, of a source that is no file."""
        del table
        return _ROWS_TO_TRY

    def find_fault(self, feed: "Feed") -> Fault | None:
        """Return what contradicts the source in `feed`, which reads it; the fault's key is one of the feed's keys."""
        del feed
        return None


class Writing(_Part):
    """How the values of a feed are written, where the values themselves do not show it.

    Of text files: `separator`, `quote` (empty where nothing is quoted), `encoding`, and `header_line`, the line of the
    columns' names counted from 1, or 0 where they have none and are called `column1`, `column2` and so on. Of all text:
    the `decimal` sign, what groups `thousands`, further `null_words`, and the `date_format` of moments in the codes of
    strptime. `day_first` says that text such as 03/04/2025 means the third of April; without it such a row is
    quarantined.
    """

    separator: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str | None = Field(default=None, max_length=1)
    encoding: str | None = None
    header_line: int | None = Field(default=None, ge=0)
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None
    null_words: tuple[str, ...] = ()
    date_format: str | None = None
    day_first: bool = False

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"{encoding!r} is no encoding; write one such as `cp1252` or `utf-16`") from None

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.decimal and self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` cannot be the same sign")
        if self.date_format is not None and ("%" not in self.date_format or self.day_first):
            raise ValueError("`date_format` is written in codes such as `%d.%m.%Y`, and takes the place of `day_first`")
        return self


class ExtraColumn(_Part):
    """A column of the company's own, which the contract does not know: its SQL expression and what it holds.

    `never_changes` says that a customer has the same value from the first day on, as with the shop of the first visit.
    Only such a column is a feature: of any other today's value is all that is known, and the past must not see it.
    `low` and `high` are the inclusive bounds of a number; a value outside is emptied and counted.
    """

    sql: Sql
    type: Literal["text", "number", "yes-no"]
    never_changes: bool = False
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _bounds_are_of_a_number(self) -> Self:
        if self.type != "number" and not self.low is self.high is None:
            raise ValueError("`low` and `high` are bounds of a number, and the type is another one")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("`low` lies above `high`")
        return self


class Feed(Writing):
    """How rows of one source become rows of one canonical table.

    `relation` (written `from`) is what is read; `columns` maps canonical columns to SQL expressions over it, and
    `extra` names the company's own columns of customers.
    `incremental` is absent when the whole relation is read each time, `file` when each file is taken exactly once,
    else the column whose growing value shows what is new; rows up to `lookback_hours` behind it are read again.
    The newest row is expected to be younger than `fresh_within_days`; without it the feed may be of any age.
    `ended_on` is the last day of a feed that goes on no more, such as that of a system that was replaced.
    """

    source: str
    relation: Sql = Field(alias="from")
    where: Sql | None = None
    group_by: Sql | None = None
    columns: dict[str, Sql] = Field(min_length=1)
    extra: dict[SourceName, ExtraColumn] = Field(default_factory=dict)
    incremental: str | None = None
    lookback_hours: float = Field(default=0, ge=0)
    fresh_within_days: int | None = Field(default=None, ge=1)
    ended_on: date | None = None

    @property
    def expressions(self) -> dict[str, str]:
        """SQL by the column that it fills: canonical columns, and the company's own as `extra_<name>`."""
        return {**self.columns, **{f"{_EXTRA}{name}": each.sql for name, each in self.extra.items()}}

    def key_of(self, column: str) -> str:
        """Return the dotted key, below the feed's own, of the expression that fills `column`."""
        return f"columns.{column}" if column in self.columns else f"extra.{column.removeprefix(_EXTRA)}.sql"


def _as_feeds(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


class Company(_Part):
    """One company: its clock, its money, its notion of churn, its sources and the tables they fill.

    Where `encryption` is required, nothing runs without a key under which the instance's files are encrypted. Hosts in
    `allow_plain` may be reached without TLS.
    `strategies` is a folder of the company's own strategy files, relative to the company file.
    """

    name: str = Field(alias="company", min_length=1)
    industry: str = Field(pattern=_NAME)
    timezone: Zone
    currency: str = Field(pattern="^[A-Z]{3}$")
    history_starts: date
    churn: ChurnDefinition
    churn_also: tuple[ChurnDefinition, ...] = ()
    closed: tuple[Closure, ...] = ()
    cleaning: Cleaning = Cleaning()
    encryption: Literal["required", "optional"] = "optional"
    allow_plain: tuple[str, ...] = ()
    policy: dict[str, Any] = Field(default_factory=dict)
    channels: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    strategies: Path | None = None
    sources: dict[SourceName, Source] = Field(min_length=1)
    tables: dict[str, Annotated[tuple[Feed, ...], BeforeValidator(_as_feeds)]] = Field(min_length=1)
    path: Path = Field(default=Path("company.yaml"), exclude=True)

    @staticmethod
    def raw_schema(source: str) -> str:
        """Return the warehouse schema that holds the ingested rows of `source`."""
        return f"raw_{source}"

    def feeds(self) -> dict[str, list[str]]:
        """Return, per connected canonical table, the raw schemas that hold its rows."""
        return {table: [self.raw_schema(feed.source) for feed in feeds] for table, feeds in self.tables.items()}

    @property
    def extra_columns(self) -> dict[str, ExtraColumn]:
        """The company's own columns of customers, by the name that they have in tables, over all feeds."""
        feeds = self.tables.get("customers", ())
        return {f"{_EXTRA}{name}": each for feed in feeds for name, each in feed.extra.items()}

    def contract_of(self, table: str) -> Table:
        """Return the canonical `table`, of customers with the company's own columns behind the others."""
        contract = TABLES[table]
        if table != "customers":
            return contract
        extra = (
            Column(
                name=name,
                type=_EXTRA_TYPES[each.type],
                description="a column of the company's own",
                low=each.low,
                high=each.high,
            )
            for name, each in self.extra_columns.items()
        )
        return replace(contract, columns=(*contract.columns, *extra))

    @property
    def strategy_files(self) -> tuple[Path, ...]:
        """The company's own strategy files, sorted; none when it names no folder."""
        return list_strategy_files(self.path, self.strategies)

    def files_of(self, table: str) -> tuple[Path, ...]:
        """Return every file that a source of `table` reads, of whichever table."""
        sources = dict.fromkeys(feed.source for feed in self.tables[table])
        return tuple(path for name in sources for path in self.sources[name].files_of(self.path.parent))

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Names of secrets that sources, vault and files look for, sorted; those of vault and files may be unset."""
        named = {secret for source in self.sources.values() for secret in source.secret_names()}
        sealed = set(VAULT_KEYS) if any(self.has_personal(table) for table in self.tables) else set()
        return tuple(
            sorted(named | sealed | {TOKEN_KEY, KEY_NAME})
        )  # ids may be e-mail addresses where nothing is mapped as one

    def has_personal(self, table: str) -> bool:
        """Tell whether a feed of `table` maps a column that holds personal data."""
        personal = {column.name for column in TABLES[table].columns if column.personal}
        return any(personal & set(feed.columns) for feed in self.tables[table])

    def bounds_of(self, table: str) -> tuple[Bound, ...]:
        """Return the ranges of plausible values in `table`: the company's own, and the industry's for the rest."""
        own = [bound for bound in self.cleaning.bounds if bound.table == table]
        known = {(bound.column, bound.metric) for bound in own}
        usual = load_industry(self.industry).bounds
        rest = [bound for bound in usual if bound.table == table and (bound.column, bound.metric) not in known]
        if self.cleaning.returns.negative_amounts:
            credited = {column.name for column in TABLES[table].columns if column.is_credited}
            rest = [each.model_copy(update={"low": None}) if each.column in credited else each for each in rest]
        return (*own, *rest)

    def error(self, key: str, problem: str, fix: str) -> SourceError:
        """Return the error that names this company's file, the `key`, the `problem` and the `fix`."""
        return SourceError(self.path, Fault(key=key, problem=problem, fix=fix, line=find_line(self.path, key)))

    def key_of(self, table: str, feed: Feed) -> str:
        """Return the dotted key under which `feed` stands in the company file."""
        feeds = self.tables[table]
        return f"tables.{table}" if len(feeds) == 1 else f"tables.{table}.{feeds.index(feed)}"


def read_company(path: Path, *, kinds: Sequence[type[Source]]) -> Company:
    """Read and validate the company file at `path`; without `churn` the industry's usual definition holds.

    `kinds` are the settings of every reader there is, two at least, each with its name as the literal type of `reader`.
    Raises CompanyError with one paragraph per fault: each names the file, the line, the key and the fix.
    """
    document = read_yaml(path)
    if SNAPSHOT in document.content:
        raise CompanyError(path, document.place(_WITHOUT_HISTORY))
    content = {**_usual_churn(document.content), **document.content, "path": path}
    if "path" in document.content:
        fault = Fault(key="path", problem="`path` is an unknown key.", fix="Take it out.")
        raise CompanyError(path, document.place(fault))
    model = _model_with(tuple(kinds))
    try:
        company = model.model_validate(content)
    except ValidationError as error:
        faults = [explain(detail, model, document.content) for detail in error.errors(include_url=False)]
        raise CompanyError(path, *dict.fromkeys(document.place(fault) for fault in faults)) from None
    contradictions = find_contradictions(company)
    if contradictions:
        raise CompanyError(path, *(document.place(fault) for fault in contradictions))
    return company


@cache
def _model_with(kinds: tuple[type[Source], ...]) -> type[Company]:
    """Return the model of a company whose sources are of these kinds."""
    source: Any = reduce(or_, kinds)
    source = Annotated[source, Field(discriminator="reader")]
    sources: Any = (dict[SourceName, source], Field(min_length=1))
    return create_model("Company", __base__=Company, sources=sources)


def _usual_churn(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the preset says about churn for the connected tables, if the industry and the tables are there."""
    industry, tables = content.get("industry"), content.get("tables")
    if industry not in names() or not isinstance(tables, dict):
        return {}
    usual = load_industry(industry).usual_churn(tables)
    return {"churn": usual} if usual else {}


def list_strategy_files(company_file: Path, folder: Path | str | None) -> tuple[Path, ...]:
    """Return the strategy files in the folder that a company file names, sorted; none when it names no folder."""
    return () if folder is None else tuple(sorted((company_file.parent / folder).glob("*.yaml")))
