"""The feature library: declared once under `library/`, written out as dbt models, contracts and gate ranges.

A file of the library is a group: the day aggregate it reads, the canonical tables it needs and its features. Run
`python -m dbt_project.library` after a change; what it writes is committed, so that dbt needs no step before it
and a reader sees plain SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import yaml

from company.taxonomy import FAMILIES, REASONS
from company.yaml_file import load_yaml

HERE = Path(__file__).parent
GENERATED = "models/features/generated"
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
    (as_of, customer, keys of `per`). Without a `day` the source knows its snapshots: its rows carry their `as_of`.
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
    documents = {path: load_yaml(path) for path in sorted(folder.glob("*.yaml"))}
    declared = [(path, each) for path, body in documents.items() for each in _each(body)]
    groups = tuple(_group(path, body) for path, body in sorted(declared, key=lambda pair: pair[1]["name"]))
    derived = tuple(
        feature
        for path, body in documents.items()
        if not {"from", "each"} & body.keys()
        for entry in body["features"]
        for feature in _features(path, entry, needs=None)
    )
    library = Library(groups=groups, derived=derived)
    _check_names(library)
    return library


def render(library: Library) -> dict[str, str]:
    """Everything the library writes, as text by path relative to the dbt project."""
    models = {f"{GENERATED}/as_of/{group.model}.sql": _model_sql(group) for group in library.groups}
    return models | {
        f"{GENERATED}/as_of/_as_of.yml": _as_of_yaml(library),
        f"{GENERATED}/customer_features.sql": _features_sql(library),
        f"{GENERATED}/customer_features.yml": _features_yaml(library),
    }


def write(root: Path = HERE) -> None:
    """Write the rendered library into the dbt project and remove models of groups that are gone."""
    rendered = render(load_library(root / "library"))
    for written in (root / GENERATED).rglob("*.*"):
        if written.relative_to(root).as_posix() not in rendered:
            written.unlink()
    for name, text in rendered.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def _each(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the groups that a file declares: itself, or one for each name under `each` with its words filled in."""
    if "each" not in body:
        return [body] if "from" in body else []
    shared = {key: value for key, value in body.items() if key != "each"}
    return [
        _fill({**shared, "name": name, "needs": own["needs"], "from": own["from"]}, {**own, "name": name})
        for name, own in body["each"].items()
    ]


def _fill(value: Any, words: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever YAML holds
    if isinstance(value, dict):
        return {_fill(key, words): _fill(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, words) for each in value]
    if isinstance(value, str):
        for word, meaning in words.items():
            value = value.replace(f"{{{word}}}", str(meaning))
    return value


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
        needs=needs if "needs" not in entry and needs is not None else tuple(entry["needs"]),
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
    ctes = [_cte("snapshots", "{{ snapshots() }}"), _cte("held", _of_snapshots(group.source))]
    return _query([*ctes, _cte("aggregated", f"select\n{_columns(columns)}\nfrom held\ngroup by as_of, customer_id")])


def _group_sql(group: Group) -> str:
    keys = ["as_of", "customer_id"]
    ctes = [
        _cte("snapshots", "{{ snapshots() }}"),
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
    age = f"{{{{ days_between('days.{group.day}', 'snapshots.as_of') }}}} as age_days"
    columns = ["snapshots.as_of", "days.*", age]
    condition = f"days.{group.day} < snapshots.as_of"
    where = f"where {condition}" if group.where is None else f"where\n    {condition}\n    and {group.where}"
    return _cte("placed", f"select\n{_columns(columns)}\nfrom snapshots\ncross join days\n{where}")


def _reduced(group: Group, *, before: str) -> str:
    per = [name if name == sql else f"{sql} as {name}" for name, sql in group.per.items()]
    columns = ["as_of", "customer_id", *per, *[f"{sql} as {name}" for name, sql in group.reduce.items()]]
    keys = ", ".join(["as_of", "customer_id", *group.per.values()])
    return _cte("reduced", f"select\n{_columns(columns)}\nfrom {before}\ngroup by {keys}")


def _features_sql(library: Library) -> str:
    read = {"customers": "int_customer_snapshots"} | {group.name: group.model for group in library.groups}
    ctes = [_cte("snapshots", "{{ snapshots() }}")]
    ctes += [_cte(name, _of_snapshots(model)) for name, model in read.items()]
    ctes.append(_joined(library))
    names = [feature.name for group in library.groups for feature in group.features]
    derived = [_when_connected(feature) for feature in library.derived]
    base = ["as_of", "customer_id", "is_eligible", *names]
    ctes.append(_cte("derived", f"select\n{_columns(base + derived)}\nfrom joined"))
    return "{{ config(materialized='by_snapshot', keeps_snapshots=true) }}\n" + _query(ctes)


def _of_snapshots(model: str) -> str:
    return f"select * from {{{{ ref('{model}') }}}}\nwhere as_of in (select snapshots.as_of from snapshots)"


def _joined(library: Library) -> str:
    columns = ["customers.as_of", "customers.customer_id", "customers.is_eligible"]
    columns.append("cast(customers.tenure_days as double) as known_tenure_days")
    joins = []
    for group in library.groups:
        columns += [_when_connected(feature, of=group) for feature in group.features]
        joins.append(
            f"left join {group.name}\n    on\n"
            f"        customers.as_of = {group.name}.as_of\n"
            f"        and customers.customer_id = {group.name}.customer_id"
        )
    return _cte("joined", f"select\n{_columns(columns)}\nfrom customers\n" + "\n".join(joins))


def _when_connected(feature: Feature, *, of: Group | None = None) -> str:
    value = feature.sql if of is None else f"{of.name}.{feature.name}"
    if feature.empty is not None:
        value = f"coalesce({value}, {feature.empty:g})"
    tables = ", ".join(f"'{table}'" for table in feature.needs)
    call = f"{{{{ when_connected([{tables}], '{_one_line(value)}') }}}}"
    if len(call) + len(feature.name) <= _LINE:
        return f"{call} as {feature.name}"
    if len(call) <= _LINE:
        return f"{call}\n    as {feature.name}"
    return f"{{{{ when_connected(\n    [{tables}],\n    '{_one_line(value)}'\n) }}}} as {feature.name}"


def _one_line(sql: str) -> str:
    return " ".join(sql.replace("'", "\\'").split())


def _as_of_yaml(library: Library) -> str:
    models = [
        {
            "name": group.model,
            "description": f"One row per day of a snapshot and customer with a row in {group.source} before it.",
        }
        for group in library.groups
    ]
    return f"# {_MARK}\nversion: 2\nmodels:\n{_lines(models, indent=2)}"


def _features_yaml(library: Library) -> str:
    keys = [
        _column("as_of", "date", "The day of the snapshot."),
        _column("customer_id", "varchar", "The customer."),
        _column("is_eligible", "boolean", "In the population of the churn definition at that day."),
    ]
    for key in keys:
        key["constraints"] = [{"type": "not_null"}]
    tests = [
        {"unique_rows": {"arguments": {"columns": ["as_of", "customer_id"]}}},
        {"never": {"name": "windows_nest_in_longer_windows", "arguments": {"condition": _nesting(library)}}},
    ]
    columns = keys + [_feature_column(feature) for feature in library.features]
    return f"""# {_MARK}
version: 2
models:
  - name: customer_features
    description: One row per day of a snapshot and customer known before it; nothing of that day or later is read.
    config: {{contract: {{enforced: true}}}}
    data_tests:
{_lines(tests, indent=6)}    columns:
{_lines(columns, indent=6)}"""


def _nesting(library: Library) -> str:
    """The arithmetic identity of the model: what happened in a window happened in every longer one."""
    windows: dict[str, list[Feature]] = {}
    for feature in library.features:
        if feature.empty == 0 and feature.sql.endswith(f"<= {feature.window})") and feature.name.startswith("count_"):
            windows.setdefault(feature.name.replace(str(feature.window), "#"), []).append(feature)
    pairs = [pair for nested in windows.values() for pair in pairwise(nested)]
    return " or ".join(f"{shorter.name} > {longer.name}" for shorter, longer in pairs)


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
    }
    bounds = {"empty": feature.empty, "low": feature.low, "high": feature.high}
    meta |= {name: bound for name, bound in bounds.items() if bound is not None}
    column = _column(feature.name, "double", feature.means[0].upper() + feature.means[1:] + ".")
    return column | {"config": {"meta": meta}}


def _lines(items: list[dict[str, Any]], *, indent: int) -> str:
    """Write each mapping as an item of a list in YAML, on one line."""
    flow = (
        yaml.dump(item, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**6) for item in items
    )
    return "".join(f"{' ' * indent}- {line}" for line in flow)


if __name__ == "__main__":
    write()
