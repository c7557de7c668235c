"""The feature library: declared once under `library/`, written out as dbt models, contracts and gate ranges.

A file of the library is a group: the day aggregate it reads, the canonical tables it needs and its features. Run
`python -m dbt_project.library` after a change; what it writes is committed, so that dbt needs no step before it
and a reader sees plain SQL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import yaml

from company.taxonomy import FAMILIES, REASONS

HERE = Path(__file__).parent
_MARK = "generated from dbt_project/library by python -m dbt_project.library; change it there"
_LINE = 92  # columns of one rendered feature, its name included
_ENTRY_KEYS = {
    "name",
    "windows",
    "over",
    "sql",
    "empty",
    "family",
    "unit",
    "reason",
    "means",
    "en",
    "zh",
    "low",
    "high",
    "needs",
}
_GROUP_KEYS = {"name", "needs", "from", "day", "where", "along", "per", "reduce", "features"}


class LibraryError(Exception):
    """An entry of the feature library is wrong; the message names the file, the entry and the fix."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature: its SQL over the group's rows, its meaning, and the range outside which a value is a fault.

    `empty` is the value of a customer without any row, None for unknown; `needs` the canonical tables it rests on;
    `en` and `zh` are phrases with a `{value}` placeholder in Python's format language.
    """

    name: str
    sql: str
    family: str
    unit: str
    reason: str
    means: str
    en: str
    zh: str
    needs: tuple[str, ...]
    empty: float | None = None
    low: float | None = None
    high: float | None = None
    window: int | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Features over one day aggregate: one row per (as_of, customer) results.

    `along` are window columns computed on the placed rows; with `per`, rows are first reduced to one per
    (as_of, customer, keys of `per`). Without a `day` the source knows its slices: its rows carry their `as_of`.
    """

    name: str
    source: str
    day: str | None
    needs: tuple[str, ...]
    features: tuple[Feature, ...]
    where: str | None
    along: Mapping[str, str]
    per: Mapping[str, str]
    reduce: Mapping[str, str]

    @property
    def model(self) -> str:
        """Name of the dbt model that holds the group's features."""
        return f"int_snapshot_{self.name}"


@dataclass(frozen=True, kw_only=True)
class Library:
    """All groups, in order of their names, and the features derived from theirs, in declared order."""

    groups: tuple[Group, ...]
    derived: tuple[Feature, ...]

    @property
    def features(self) -> tuple[Feature, ...]:
        """Every feature in the order of the columns of features.customer_features."""
        return tuple(feature for group in self.groups for feature in group.features) + self.derived


def load_library(folder: Path = HERE / "library") -> Library:
    """Read and check the library; raises LibraryError for a wrong entry."""
    documents = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))}
    groups = tuple(_group(path, body) for path, body in documents.items() if "from" in body)
    derived = tuple(
        feature
        for path, body in documents.items()
        if "from" not in body
        for entry in body["features"]
        for feature in _features(path, entry, needs=None)
    )
    library = Library(groups=groups, derived=derived)
    _check_names(library)
    return library


def render(library: Library) -> dict[str, str]:
    """Everything the library writes, as text by path relative to the dbt project."""
    models = {f"models/features/as_of/{group.model}.sql": _model_sql(group) for group in library.groups}
    return models | {
        "models/features/as_of/_as_of.yml": _as_of_yaml(library),
        "models/features/customer_features.sql": _features_sql(library),
        "models/features/customer_features.yml": _features_yaml(library),
        "macros/library_features.sql": _features_macro(library),
    }


def write(root: Path = HERE) -> None:
    """Write the rendered library into the dbt project and remove models of groups that are gone."""
    rendered = render(load_library(root / "library"))
    for stale in (root / "models/features/as_of").glob("int_snapshot_*.sql"):
        if stale.relative_to(root).as_posix() not in rendered:
            stale.unlink()
    for name, text in rendered.items():
        (root / name).write_text(text, encoding="utf-8")


def _group(path: Path, body: Mapping[str, Any]) -> Group:
    _check_keys(path, "the group", body, _GROUP_KEYS)
    needs = tuple(body["needs"])
    return Group(
        name=body["name"],
        source=body["from"],
        day=body.get("day"),
        needs=needs,
        features=tuple(feature for entry in body["features"] for feature in _features(path, entry, needs=needs)),
        where=body.get("where"),
        along=body.get("along", {}),
        per=body.get("per", {}),
        reduce=body.get("reduce", {}),
    )


def _features(path: Path, entry: Mapping[str, Any], *, needs: tuple[str, ...] | None) -> list[Feature]:
    _check_keys(path, f"the entry `{entry.get('name')}`", entry, _ENTRY_KEYS)
    _check_entry(path, entry)
    variants = product(entry.get("windows", [None]), entry.get("over", [None]))
    return [_feature(entry, window, item, needs=needs) for window, item in variants]


def _feature(
    entry: Mapping[str, Any], window: int | None, item: str | None, *, needs: tuple[str, ...] | None
) -> Feature:
    def filled(key: str) -> str:
        words = {
            "means": str(item).replace("_", " "),
            "en": str(item).replace("_", " "),
            "zh": entry.get("over", {}).get(item),
        }
        return str(entry[key]).replace("{w}", str(window)).replace("{item}", str(words.get(key, item)))

    def number(key: str) -> float | None:
        return None if entry.get(key) is None else float(filled(key))

    return Feature(
        name=filled("name"),
        sql=filled("sql"),
        family=filled("family"),
        unit=entry["unit"],
        reason=filled("reason"),
        means=filled("means"),
        en=filled("en"),
        zh=filled("zh"),
        needs=tuple(entry["needs"]) if needs is None else needs,
        empty=number("empty"),
        low=number("low"),
        high=number("high"),
        window=window,
    )


def _check_keys(path: Path, what: str, body: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise LibraryError(
            f"{path.name}: {what} has the unknown key `{unknown[0]}`; known are {', '.join(sorted(known))}."
        )


def _check_entry(path: Path, entry: Mapping[str, Any]) -> None:
    for key in ("name", "sql", "family", "unit", "reason", "means", "en", "zh"):
        if key not in entry:
            raise LibraryError(f"{path.name}: the entry `{entry.get('name')}` lacks `{key}`; add it.")
    for key, known in (("family", FAMILIES), ("reason", REASONS)):
        for item in entry.get("over", [None]):
            word = str(entry[key]).replace("{item}", str(item))
            if word not in known:
                raise LibraryError(
                    f"{path.name}: the entry `{entry['name']}` has the {key} `{word}`; take one of {', '.join(known)}."
                )


def _check_names(library: Library) -> None:
    seen: set[str] = set()
    for feature in library.features:
        if feature.name in seen:
            raise LibraryError(f"The feature `{feature.name}` is declared twice in the library; rename one of the two.")
        seen.add(feature.name)


def _cte(name: str, body: str) -> str:
    indented = "\n".join(f"    {line}" if line else "" for line in body.splitlines())
    return f"{name} as (\n\n{indented}\n\n)"


def _query(ctes: list[str]) -> str:
    last = ctes[-1].split(" as (", 1)[0]
    return f"-- {_MARK}\nwith\n\n" + ",\n\n".join(ctes) + f"\n\nselect * from {last}\n"


def _columns(columns: list[str]) -> str:
    return ",\n".join("    " + column.replace("\n", "\n    ") for column in columns)


def _model_sql(group: Group) -> str:
    return _group_sql(group) if group.day else _held_sql(group)


def _held_sql(group: Group) -> str:
    columns = ["as_of", "customer_id"] + [_named(feature) for feature in group.features]
    ctes = [_cte("slices", "{{ slices() }}"), _cte("held", _of_slices(group.source))]
    return _query([*ctes, _cte("aggregated", f"select\n{_columns(columns)}\nfrom held\ngroup by as_of, customer_id")])


def _group_sql(group: Group) -> str:
    keys = ["as_of", "customer_id"]
    ctes = [
        _cte("slices", "{{ slices() }}"),
        _cte("days", f"select * from {{{{ ref('{group.source}') }}}}"),
        _placed(group),
    ]
    if group.along:
        along = [f"{sql} as {name}" for name, sql in group.along.items()]
        ctes.append(_cte("measured", f"select\n{_columns(['*', *along])}\nfrom placed"))
    if group.per:
        ctes.append(_reduced(group, before="measured" if group.along else "placed"))
    before = ctes[-1].split(" as (", 1)[0]
    columns = keys + [_named(feature) for feature in group.features]
    ctes.append(_cte("aggregated", f"select\n{_columns(columns)}\nfrom {before}\ngroup by as_of, customer_id"))
    return _query(ctes)


def _named(feature: Feature) -> str:
    together = f"{feature.sql} as {feature.name}"
    if len(together.rsplit("\n", maxsplit=1)[-1]) <= _LINE:
        return together
    return f"{feature.sql}\n    as {feature.name}"


def _placed(group: Group) -> str:
    columns = ["slices.as_of", "days.*", f"{{{{ days_between('days.{group.day}', 'slices.as_of') }}}} as age_days"]
    condition = f"days.{group.day} < slices.as_of"
    where = f"where {condition}" if group.where is None else f"where\n    {condition}\n    and {group.where}"
    return _cte("placed", f"select\n{_columns(columns)}\nfrom slices\ncross join days\n{where}")


def _reduced(group: Group, *, before: str) -> str:
    per = [name if name == sql else f"{sql} as {name}" for name, sql in group.per.items()]
    columns = ["as_of", "customer_id", *per, *[f"{sql} as {name}" for name, sql in group.reduce.items()]]
    keys = ", ".join(["as_of", "customer_id", *group.per.values()])
    return _cte("reduced", f"select\n{_columns(columns)}\nfrom {before}\ngroup by {keys}")


def _features_sql(library: Library) -> str:
    read = {"customers": "int_customer_snapshots"} | {group.name: group.model for group in library.groups}
    ctes = [_cte("slices", "{{ slices() }}")]
    ctes += [_cte(name, _of_slices(model)) for name, model in read.items()]
    ctes.append(_joined(library))
    names = [feature.name for group in library.groups for feature in group.features]
    derived = [f"{_fed(feature)} as {feature.name}" for feature in library.derived]
    base = ["as_of", "customer_id", "is_eligible", *names]
    ctes.append(_cte("derived", f"select\n{_columns(base + derived)}\nfrom joined"))
    return "{{ config(materialized='slices', keeps_slices=true) }}\n" + _query(ctes)


def _of_slices(model: str) -> str:
    return f"select * from {{{{ ref('{model}') }}}}\nwhere as_of in (select slices.as_of from slices)"


def _joined(library: Library) -> str:
    columns = ["customers.as_of", "customers.customer_id", "customers.is_eligible"]
    columns.append("cast(customers.tenure_days as double) as known_tenure_days")
    joins = []
    for group in library.groups:
        columns += [f"{_fed(feature, of=group)} as {feature.name}" for feature in group.features]
        joins.append(
            f"left join {group.name}\n    on\n"
            f"        customers.as_of = {group.name}.as_of\n"
            f"        and customers.customer_id = {group.name}.customer_id"
        )
    return _cte("joined", f"select\n{_columns(columns)}\nfrom customers\n" + "\n".join(joins))


def _fed(feature: Feature, *, of: Group | None = None) -> str:
    value = feature.sql if of is None else f"{of.name}.{feature.name}"
    if feature.empty is not None:
        value = f"coalesce({value}, {feature.empty:g})"
    tables = ", ".join(f"'{table}'" for table in feature.needs)
    call = f"{{{{ fed([{tables}], '{_one_line(value)}') }}}}"
    if len(call) + len(feature.name) <= _LINE:
        return call
    return f"{{{{ fed(\n    [{tables}],\n    '{_one_line(value)}'\n) }}}}"


def _one_line(sql: str) -> str:
    return " ".join(sql.replace("'", "\\'").split())


def _as_of_yaml(library: Library) -> str:
    keys = {"unique_rows": {"arguments": {"columns": ["as_of", "customer_id"]}}}
    models = [
        {
            "name": "int_customer_snapshots",
            "description": "One row per day of a snapshot and customer known before it: the spine of the features.",
            "data_tests": [keys],
        }
    ]
    for group in library.groups:
        described = f"One row per day of a snapshot and customer with a row in {group.source} before it."
        models.append({"name": group.model, "description": described})
    return _yaml({"version": 2, "models": models})


def _features_yaml(library: Library) -> str:
    grain = "One row per day of a snapshot and customer known before it; nothing of that day or later is read."
    keys = [
        _column("as_of", "date", "The day of the snapshot."),
        _column("customer_id", "varchar", "The customer."),
        _column("is_eligible", "boolean", "In the population of the churn definition at that day."),
    ]
    for key in keys:
        key["constraints"] = [{"type": "not_null"}]
    model = {
        "name": "customer_features",
        "description": grain,
        "config": {"contract": {"enforced": True}},
        "data_tests": [
            {"unique_rows": {"arguments": {"columns": ["as_of", "customer_id"]}}},
            {"never": {"name": "windows_nest_in_longer_windows", "arguments": {"condition": _nesting(library)}}},
        ],
        "columns": keys + [_feature_column(feature) for feature in library.features],
    }
    return _yaml({"version": 2, "models": [model]})


def _nesting(library: Library) -> str:
    """The arithmetic identity of the model: what happened in a window happened in every longer one."""
    windows: dict[str, list[Feature]] = {}
    for feature in library.features:
        if feature.empty == 0 and feature.sql.endswith(f"<= {feature.window})") and feature.name.startswith("count_"):
            windows.setdefault(feature.name.replace(str(feature.window), "#"), []).append(feature)
    pairs = [pair for nested in windows.values() for pair in pairwise(nested)]
    return " or ".join(f"{shorter.name} > {longer.name}" for shorter, longer in pairs)


def _features_macro(library: Library) -> str:
    """A macro that lists the features, with their phrases as SQL over a value that stands in braces: {x}."""
    entries = [
        f"        {{'name': '{feature.name}', 'needs': {list(feature.needs)},\n"
        f"         'en': \"{_spoken(feature.en)}\",\n         'zh': \"{_spoken(feature.zh)}\"}},"
        for feature in library.features
    ]
    listed = "\n".join(entries)
    return (
        f"{{# The features of the library and their phrases; {_MARK}. #}}\n"
        f"{{% macro library_features() -%}}\n    {{{{ return([\n{listed}\n    ]) }}}}\n{{%- endmacro %}}\n"
    )


def _spoken(phrase: str) -> str:
    """Write a phrase of Python's format language as SQL that speaks the value {x}."""
    parts = re.split(r"(\{value:[^}]+\})", phrase)
    return "concat(" + ", ".join(_part(part) for part in parts if part) + ")"


def _part(part: str) -> str:
    found = re.fullmatch(r"\{value:(\+?)\.(\d)([f%])\}", part)
    if found is None:
        return "'" + part.replace("'", "''") + "'"
    sign, digits, kind = found.groups()
    value = "100 * {x}" if kind == "%" else "{x}"
    spoken = [f"cast(cast({value} as decimal(38, {digits})) as varchar)"]
    signed = ["case when {x} < 0 then '' else '+' end"] if sign else []
    return ", ".join(signed + spoken + (["'%'"] if kind == "%" else []))


def _column(name: str, data_type: str, description: str) -> dict[str, Any]:
    return {"name": name, "data_type": data_type, "description": description}


def _feature_column(feature: Feature) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "family": feature.family,
        "unit": feature.unit,
        "reason": feature.reason,
        "en": feature.en,
        "zh": feature.zh,
        "needs": list(feature.needs),
        "empty": feature.empty,
        "nulls": None if feature.empty is None else 0.0,
        "low": feature.low,
        "high": feature.high,
    }
    column = _column(feature.name, "double", feature.means[0].upper() + feature.means[1:] + ".")
    return column | {"config": {"meta": meta}}


def _yaml(body: dict[str, Any]) -> str:
    return f"# {_MARK}\n" + yaml.dump(body, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    write()
