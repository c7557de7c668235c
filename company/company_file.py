"""`company.yaml` as frozen, validated types: who the company is, where its rows come from and how they are mapped."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from company import presets
from company.contract import TABLES, ColumnType
from company.file_faults import CompanyError, Fault, SourceError, suggest

__all__ = [
    "ApiSource",
    "Bound",
    "Churn",
    "Cleaning",
    "Company",
    "CompanyError",
    "Feed",
    "FilesSource",
    "Source",
    "SourceError",
    "SqlSource",
    "load_company",
]

TOKEN_KEY = "HOLDFAST_TOKEN_KEY"  # noqa: S105 - the name of a secret, not the secret
VAULT_KEYS = ("HOLDFAST_VAULT_URL", "HOLDFAST_MASTER_KEY")
_NAME = r"^[a-z][a-z0-9_]*$"
_CHURN_NEEDS = {
    "inactivity": "orders",
    "spend_fall": "orders",
    "contract_end": "subscriptions",
    "account_closed": "subscriptions",
}


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as `Europe/Berlin` or `UTC`") from None
    return name


def _as_sql(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Zone = Annotated[str, BeforeValidator(_check_zone)]
Sql = Annotated[str, BeforeValidator(_as_sql), Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Churn(_Part):
    """What losing a customer means: who counts as active, and how far ahead the loss is looked for, in days.

    `inactivity`: nothing is bought within the horizon. `contract_end`: no contract runs at its end. `account_closed`:
    by then notice was given for every contract. `spend_fall`: what is spent within the horizon falls by at least
    `fall_share` below what was spent in as many days before.
    """

    definition: Literal["inactivity", "contract_end", "spend_fall", "account_closed"]
    active_within_days: int = Field(default=60, ge=1)
    horizon_days: int = Field(default=30, ge=1)
    lead_days: int = Field(default=0, ge=0)
    fall_share: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _share_belongs_to_spend(self) -> Self:
        if (self.definition == "spend_fall") != (self.fall_share is not None):
            raise ValueError("`fall_share` belongs to the definition `spend_fall`, and that needs one, such as 0.8")
        return self


class Bound(_Part):
    """The range of plausible values of a number, both ends included, or of one `metric` of the table `usage`."""

    table: str
    column: str
    metric: str | None = Field(default=None, pattern=_NAME)
    low: float | None = None
    high: float | None = None


class Cleaning(_Part):
    """What a company adds to the product's cleaning rules, which stand in `dbt_project/dbt_project.yml`.

    `bounds` take the place of the industry's for the same column; a row outside of them is quarantined. `vocabulary`
    adds spellings: table, column, the word that is meant, and how it is also written. `fills` says by table and column
    what stands for a missing value. Clicks alike within `duplicate_seconds` count once; rows that come up to
    `late_days` after they happened are put where they belong.
    """

    duplicate_seconds: float | None = Field(default=None, gt=0)
    late_days: int | None = Field(default=None, ge=0)
    bounds: tuple[Bound, ...] = ()
    vocabulary: dict[str, dict[str, dict[str, tuple[str, ...]]]] = Field(default_factory=dict)
    fills: dict[str, dict[str, str]] = Field(default_factory=dict)


class FilesSource(_Part):
    """Files by name: a path, a glob, or `package://<package>/<path>`; csv, tsv, parquet, json or jsonl, also gzipped.

    Relative paths start at the company file. `timezone` is the zone of moments written without one.
    """

    reader: Literal["files"]
    files: dict[str, str] = Field(min_length=1)
    timezone: Zone = "UTC"

    @field_validator("files")
    @classmethod
    def _names_are_plain(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if not name.isidentifier():
                raise ValueError(f"the file name {name!r} must be a plain word, because `from` uses it as a table")
        return files


class SqlSource(_Part):
    """A database: `connection` names the secret that holds its SQLAlchemy address."""

    reader: Literal["sql"]
    connection: str
    database_schema: str | None = Field(default=None, alias="schema")
    timezone: Zone = "UTC"


class ApiSource(_Part):
    """An HTTP API with JSON pages: `token` names the secret that holds its bearer token.

    Pages follow one another by a cursor that stands in the answer at `cursor_path` and is sent as `cursor_param`;
    the rows of a page stand at `rows_path`. A feed's `incremental` column is sent as `since_param`.
    """

    reader: Literal["rest"]
    url: str
    token: str | None = None
    rows_path: str = "data"
    cursor_path: str = "next_cursor"
    cursor_param: str = "cursor"
    since_param: str = "since"
    page_size: int | None = Field(default=None, ge=1)
    page_size_param: str = "limit"
    timezone: Zone = "UTC"


Source = Annotated[FilesSource | SqlSource | ApiSource, Field(discriminator="reader")]


class Feed(_Part):
    """How rows of one source become rows of one canonical table.

    `relation` (written `from`) is what is read; `columns` maps canonical columns to SQL expressions over it.
    `incremental` is absent when the whole relation is read each time, `file` when each file is taken exactly once,
    else the column whose growing value marks what is new; rows up to `lookback_hours` behind it are read again.
    `day_first` says that text such as 03/04/2025 means the third of April; without it such a row is set aside.
    The newest row is expected to be younger than `fresh_within_days`; without it the feed may be of any age.
    """

    source: str
    relation: Sql = Field(alias="from")
    where: Sql | None = None
    group_by: Sql | None = None
    columns: dict[str, Sql] = Field(min_length=1)
    incremental: str | None = None
    day_first: bool = False
    lookback_hours: float = Field(default=0, ge=0)
    fresh_within_days: int | None = Field(default=None, ge=1)


def _as_feeds(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


class Company(_Part):
    """One company: its clock, its money, its notion of churn, its sources and the tables they fill."""

    name: str = Field(alias="company", min_length=1)
    industry: str = Field(pattern=_NAME)
    timezone: Zone
    currency: str = Field(pattern="^[A-Z]{3}$")
    history_starts: date
    churn: Churn
    churn_also: tuple[Churn, ...] = ()
    cleaning: Cleaning = Cleaning()
    policy: dict[str, Any] = Field(default_factory=dict)
    channels: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    sources: dict[Annotated[str, Field(pattern=_NAME)], Source] = Field(min_length=1)
    tables: dict[str, Annotated[tuple[Feed, ...], BeforeValidator(_as_feeds)]] = Field(min_length=1)
    path: Path = Field(default=Path("company.yaml"), exclude=True)

    @staticmethod
    def raw_schema(source: str) -> str:
        """Return the warehouse schema that holds the landed rows of `source`."""
        return f"raw_{source}"

    def feeds(self) -> dict[str, list[str]]:
        """Return, per connected canonical table, the raw schemas that hold its rows."""
        return {table: [self.raw_schema(feed.source) for feed in feeds] for table, feeds in self.tables.items()}

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Names of every secret that the sources and the vault look for, sorted; those of the vault may be unset."""
        named = {secret for source in self.sources.values() if (secret := _secret_of(source))}
        keyed = {TOKEN_KEY, *VAULT_KEYS} if any(self.has_personal(table) for table in self.tables) else set()
        return tuple(sorted(named | keyed))

    def has_personal(self, table: str) -> bool:
        """Tell whether a feed of `table` maps a column that holds personal data."""
        personal = {column.name for column in TABLES[table].columns if column.personal}
        return any(personal & set(feed.columns) for feed in self.tables[table])

    def bounds_of(self, table: str) -> tuple[Bound, ...]:
        """Return the ranges of plausible values in `table`: the company's own, and the industry's for the rest."""
        own = [bound for bound in self.cleaning.bounds if bound.table == table]
        known = {(bound.column, bound.metric) for bound in own}
        usual = [Bound.model_validate(bound) for bound in presets.read_preset(self.industry).bounds]
        rest = [bound for bound in usual if bound.table == table and (bound.column, bound.metric) not in known]
        return (*own, *rest)

    def error(self, key: str, problem: str, fix: str) -> SourceError:
        """Return the error that names this company's file, the `key`, the `problem` and the `fix`."""
        return SourceError(self.path, Fault(key=key, problem=problem, fix=fix, line=_line_in(self.path, key)))

    def key_of(self, table: str, feed: Feed) -> str:
        """Return the dotted key under which `feed` stands in the company file."""
        feeds = self.tables[table]
        return f"tables.{table}" if len(feeds) == 1 else f"tables.{table}.{feeds.index(feed)}"


def load_company(path: Path) -> Company:
    """Read and validate the company file at `path`; without `churn` the industry's usual definition holds.

    Raises CompanyError with one paragraph per fault: each names the file, the line, the key and the fix.
    """
    document, root = _parse(path)
    _refuse_repeated_keys(path, root)
    document = {**_usual_churn(document), **document}
    try:
        company = Company.model_validate({**document, "path": path})
    except ValidationError as error:
        faults = tuple(_as_fault(detail, document, root) for detail in error.errors(include_url=False))
        raise CompanyError(path, *dict.fromkeys(faults)) from None
    faults = tuple(_placed(fault, root) for fault in _contradictions(company))
    if faults:
        raise CompanyError(path, *faults)
    return company


def _parse(path: Path) -> tuple[dict[str, Any], yaml.Node]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except OSError as error:
        fix = "Check the path, or write a first file with `holdfast init`."
        raise CompanyError(
            path, Fault(key="", problem=f"the file cannot be read ({error.strerror}).", fix=fix)
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CompanyError(path, _unreadable(error)) from None
    if root is None or not isinstance(document, dict):
        fix = "Start from the file that `holdfast init` writes."
        raise CompanyError(path, Fault(key="", problem="the file holds no keys.", fix=fix))
    if "path" in document:
        fix = "Take it out."
        raise CompanyError(path, _placed(Fault(key="path", problem="`path` is an unknown key.", fix=fix), root))
    return document, root


def _usual_churn(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the preset says about churn for the connected tables, if the industry and the tables are there."""
    industry, tables = document.get("industry"), document.get("tables")
    if industry not in presets.names() or not isinstance(tables, dict):
        return {}
    usual = presets.read_preset(industry).usual_churn(tables)
    return {"churn": usual} if usual else {}


def _unreadable(error: Exception) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = f"the file is not valid YAML ({getattr(error, 'problem', None) or 'it is not UTF-8 text'})."
    fix = (
        "Check the indentation and the quotes there: an expression with `:`, `#`, `*` or quotes needs quotes around it."
    )
    return Fault(key="", problem=problem, fix=fix, line=mark.line + 1 if mark else None)


def _refuse_repeated_keys(path: Path, node: yaml.Node, trail: tuple[str, ...] = ()) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _refuse_repeated_keys(path, item, (*trail, str(index)))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        here = (*trail, str(key.value))
        if key.value in seen:
            fault = Fault(key=".".join(here), problem="the key stands here twice.", fix="Keep one of the two.")
            raise CompanyError(path, Fault(**{**vars(fault), "line": key.start_mark.line + 1}))
        seen.add(key.value)
        _refuse_repeated_keys(path, value, here)


def _placed(fault: Fault, root: yaml.Node) -> Fault:
    return Fault(key=fault.key, problem=fault.problem, fix=fault.fix, line=_line_of(root, fault.key))


def _line_in(path: Path, key: str) -> int | None:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return _line_of(root, key) if root else None


def _line_of(node: yaml.Node, key: str) -> int | None:
    """Return the line of the deepest part of the dotted `key` that exists, or None when not even its head does."""
    line = None
    for part in key.split("."):
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((k, v) for k, v in pairs if str(k.value) == part), None)
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _as_fault(detail: Any, document: Mapping[str, Any], root: yaml.Node) -> Fault:  # noqa: ANN401 - pydantic's detail
    trail = _trail(detail["loc"], document)
    key, last = ".".join(trail), trail[-1] if trail else ""
    known = _known_keys(trail[:-1], document)
    match detail["type"]:
        case "extra_forbidden":
            problem, fix = f"`{last}` is an unknown key.", suggest(last, known)
        case "missing":
            problem, fix = f"the key `{last}` is missing.", "Add it; `holdfast init` writes an example of every key."
        case "union_tag_invalid" | "union_tag_not_found":
            problem, fix = "`reader` must name one of the readers.", "Write `reader: files`, `sql` or `rest`."
        case "model_type" | "dict_type" | "model_attributes_type":
            problem, fix = (
                "this must be a block of keys.",
                "Indent its keys below it, as in the file `holdfast init` writes.",
            )
        case "value_error":
            problem, fix = f"{detail['ctx']['error']}.", "Correct the value."
        case _:
            problem, fix = (
                f"the value {detail['input']!r} does not fit: {detail['msg'].lower()}.",
                "Correct the value.",
            )
    return _placed(Fault(key=key, problem=problem, fix=fix), root)


def _trail(location: tuple[int | str, ...], document: Mapping[str, Any]) -> tuple[str, ...]:
    """Drop from pydantic's location what the file does not show: the reader's tag and the index of an only feed."""
    parts = [str(part) for part in location]
    if parts[:1] == ["sources"] and len(parts) > 2:  # noqa: PLR2004 - sources, the name, the tag
        del parts[2]
    if parts[:1] == ["tables"] and len(parts) > 2 and not isinstance(document["tables"][parts[1]], list):  # noqa: PLR2004
        del parts[2]
    return tuple(part for part in parts if part != "[key]")


def _known_keys(trail: tuple[str, ...], document: Mapping[str, Any]) -> list[str]:
    match trail:
        case ():
            model: type[BaseModel] = Company
        case ("churn",) | ("churn_also", _):
            model = Churn
        case ("cleaning",):
            model = Cleaning
        case ("cleaning", "bounds", _):
            model = Bound
        case ("sources", name):
            model = _source_model(document["sources"][name].get("reader"))
        case _:
            model = Feed
    return [field.alias or name for name, field in model.model_fields.items() if name != "path"]


def _source_model(reader: str) -> type[BaseModel]:
    members: tuple[type[BaseModel], ...] = get_args(get_args(Source)[0])
    return next(model for model in members if reader in get_args(model.model_fields["reader"].annotation))


def _contradictions(company: Company) -> list[Fault]:
    faults = [*_missing_tables(company), *_industry_faults(company), *_cleaning_faults(company)]
    for table, feeds in company.tables.items():
        if table not in TABLES:
            problem = f"`{table}` is no canonical table."
            faults.append(Fault(key=f"tables.{table}", problem=problem, fix=suggest(table, TABLES)))
            continue
        faults += [fault for feed in feeds for fault in _feed_faults(company, table, feed)]
        faults += _shared_sources(table, feeds)
    return faults


def _missing_tables(company: Company) -> list[Fault]:
    faults = []
    if "customers" not in company.tables:
        faults.append(
            Fault(key="tables", problem="the table `customers` is not connected.", fix="Add `tables.customers`.")
        )
    if not {"orders", "subscriptions"} & set(company.tables):
        problem = "neither `orders` nor `subscriptions` is connected, so that nobody could ever be lost."
        faults.append(Fault(key="tables", problem=problem, fix="Add `tables.orders` or `tables.subscriptions`."))
    return faults


def _industry_faults(company: Company) -> list[Fault]:
    if company.industry not in presets.names():
        problem = f"`{company.industry}` is no industry that Holdfast knows."
        return [Fault(key="industry", problem=problem, fix=suggest(company.industry, presets.names()))]
    meant = [("churn", company.churn)]
    meant += [(f"churn_also.{place}", churn) for place, churn in enumerate(company.churn_also)]
    lacking = [(key, churn) for key, churn in meant if _CHURN_NEEDS[churn.definition] not in company.tables]
    told = "the definition `{}` reads the table `{}`, which is not connected."
    return [
        Fault(
            key=f"{key}.definition",
            problem=told.format(churn.definition, _CHURN_NEEDS[churn.definition]),
            fix=f"Connect `tables.{_CHURN_NEEDS[churn.definition]}`, or choose a definition that does without.",
        )
        for key, churn in lacking
        if {"orders", "subscriptions"} & set(company.tables)
    ]


def _cleaning_faults(company: Company) -> list[Fault]:
    rules = company.cleaning
    named = [(f"bounds.{place}", bound.table, bound.column) for place, bound in enumerate(rules.bounds)]
    for key, declared in (("vocabulary", rules.vocabulary), ("fills", rules.fills)):
        named += [(f"{key}.{table}.{name}", table, name) for table, columns in declared.items() for name in columns]
    faults = (_column_fault(f"cleaning.{key}", table, column) for key, table, column in named)
    return [fault for fault in faults if fault]


def _column_fault(key: str, table: str, column: str) -> Fault | None:
    """Return what is wrong with a cleaning rule on `table.column`, if anything is."""
    if table not in TABLES:
        return Fault(key=key, problem=f"`{table}` is no canonical table.", fix=suggest(table, TABLES))
    contract = TABLES[table]
    if column not in contract.names:
        problem = f"`{column}` is no column of the canonical table `{table}`."
        return Fault(key=key, problem=problem, fix=suggest(column, contract.names))
    wanted = {ColumnType.NUMBER, ColumnType.INTEGER} if ".bounds." in key else {ColumnType.TEXT}
    fitting = [c.name for c in contract.columns if c.type in wanted and not c.personal and c.name not in contract.key]
    if column in fitting:
        return None
    word = "a number" if ".bounds." in key else "a text that may be rewritten"
    return Fault(key=key, problem=f"`{table}.{column}` is not {word}.", fix=suggest(column, fitting))


def _shared_sources(table: str, feeds: tuple[Feed, ...]) -> list[Fault]:
    sources = [feed.source for feed in feeds]
    twice = sorted({source for source in sources if sources.count(source) > 1})
    fix = "Write one entry whose `from` is a `union all` of the two."
    problem = "two entries read this table from the source `{}`."
    return [Fault(key=f"tables.{table}", problem=problem.format(source), fix=fix) for source in twice]


def _feed_faults(company: Company, table: str, feed: Feed) -> list[Fault]:
    key, contract = company.key_of(table, feed), TABLES[table]
    faults = []
    if feed.source not in company.sources:
        problem = f"the source `{feed.source}` is not declared."
        fix = f"{suggest(feed.source, company.sources)} Sources are declared under `sources`."
        faults.append(Fault(key=f"{key}.source", problem=problem, fix=fix))
    for name in feed.columns:
        if name not in contract.names:
            problem = f"`{name}` is no column of the canonical table `{table}`."
            faults.append(Fault(key=f"{key}.columns.{name}", problem=problem, fix=suggest(name, contract.names)))
    for column in contract.columns:
        if column.is_required and column.name not in feed.columns:
            problem = f"the required column `{column.name}` ({column.description}) is not mapped."
            fix = f"Add `{column.name}: <SQL expression>`."
            faults.append(Fault(key=f"{key}.columns", problem=problem, fix=fix))
    return [*faults, *_freshness_faults(key, table, feed), *_increment_faults(company, key, feed)]


def _freshness_faults(key: str, table: str, feed: Feed) -> list[Fault]:
    moment = TABLES[table].moment
    if feed.fresh_within_days is None or moment in feed.columns:
        return []
    problem = "`fresh_within_days` is asked of rows that carry no moment."
    fix = f"Map `{moment}`, or take it out." if moment else "Take it out."
    return [Fault(key=f"{key}.fresh_within_days", problem=problem, fix=fix)]


def _increment_faults(company: Company, key: str, feed: Feed) -> list[Fault]:
    if feed.incremental and feed.group_by:
        problem = (
            "`incremental` and `group_by` contradict each other: a group may grow with rows that were read before."
        )
        return [Fault(key=f"{key}.incremental", problem=problem, fix="Take one of the two out.")]
    source = company.sources.get(feed.source)
    if isinstance(source, FilesSource) and feed.incremental not in {None, "file"}:
        problem = f"files are taken one by one, not by the column `{feed.incremental}`."
        return [Fault(key=f"{key}.incremental", problem=problem, fix="Write `incremental: file`.")]
    if feed.incremental == "file" and isinstance(source, FilesSource) and feed.relation not in source.files:
        problem = "files that are taken one by one need a `from` that is just one name of `files`."
        return [Fault(key=f"{key}.from", problem=problem, fix=suggest(feed.relation, source.files))]
    return []


def _secret_of(source: FilesSource | SqlSource | ApiSource) -> str | None:
    match source:
        case SqlSource():
            return source.connection
        case ApiSource():
            return source.token
    return None
