"""Where DuckDB and Spark differ: the same expression of the models' macros gives the same on both."""

import importlib.util
import math
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import jinja2
import pytest

from dbt_project.library import HERE
from orchestration.spark.models import FOLDERS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MACROS = ("engines", "time", "spark")
# each expression in the macros' words, over `rows`, and what it gives: one line per difference between the engines
ROWS = (
    "select cast(1.5 as decimal(18, 4)) as amount, 3 as days, timestamp '2026-03-01 23:30:00' as moment, "
    "cast(null as date) as unknown, date '2026-03-01' as day"
)
EXPRESSIONS: dict[str, tuple[str, Any]] = {
    "a quotient of decimals keeps its digits": ("amount / 0.7", 1.5 / 0.7),
    "a mean of decimals keeps its digits": ("avg(amount / 7)", 1.5 / 7),
    "distinct values are counted": ("count(distinct days)", 1),
    "distinct values are counted where a condition holds": ("count(distinct days) filter (where days > 3)", 0),
    "a power of a quotient keeps its digits": ("power(0.5, days / 7.0)", 0.5 ** (3 / 7)),
    "a text needs no length": ("cast(days as varchar)", "3"),
    "what leads a text is trimmed": ("trim(leading ',' from ',a,b')", "a,b"),
    "a day on the company's clock": ("{{ local_day('moment') }}", date(2026, 3, 2)),
    "Sunday is the seventh day": ("{{ weekday('day') }}", 7),
    "whole days between": ("{{ days_between('day', \"date '2026-04-01'\") }}", 31),
    "days before": ("{{ days_before('day', 1) }}", date(2026, 2, 28)),
    "a month later": ("cast({{ dbt.dateadd('month', 1, 'day') }} as date)", date(2026, 4, 1)),
    "months are counted by their boundaries": (
        "{{ dbt.datediff('day', \"date '2027-02-28'\", 'month') }}", 11
    ),
    "an unknown day stays unknown": ("{{ add_days('unknown', 1) }}", None),
    "minutes are counted by their boundaries": (
        "{{ minutes_between('moment', \"timestamp '2026-03-01 23:31:59'\") }}", 1
    ),
    "means that a tie rounded either way differ alike": (
        "round(cast(2.358901792 as double) - 2.45988887, 6)", -0.100987
    ),
    "a mark that is divided in a text stays": ("'1 / 2'", "1 / 2"),
}  # fmt: skip
# texts are joined here: every part is known, or a row without one is left out later, as Spark would have it
JOINS_TEXTS = {
    "bookkeeping/days_to_rebuild.sql",
    "customer_360/customer_tags.sql",
    "customer_360/customer_triggers.sql",
    "features/profiles/leaver_groups.sql",
    "features/profiles/leaver_profile.sql",
}
# what only one of them knows, or reads in another way; what needs it stands in a `duckdb__` macro
UNPORTABLE = re.compile(
    r"\b(arg_max|arg_min|quantile_cont|generate_series|unnest|strftime|epoch\w*|regexp_matches|json_extract\w*|dayofweek"
    r"|string_agg|array_agg|list|struct_pack|any_value|[lr]trim)\s*\("
    r"|::|\basof\b|\brange between\b|\bexclude\s*\(|\"\w+\"\.",
)


def render(expression: str, *, engine: str) -> str:
    """Return an expression of the models' macros as dbt gives it to an engine."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)
    sources = [(HERE / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in MACROS]
    template = "".join([*sources, *read_adapter(engine)])
    values = {"var": lambda _: "Asia/Shanghai", "modules": SimpleNamespace(re=re), "return": lambda value: value}
    values["target"] = SimpleNamespace(type=engine)
    module: Any = None

    def dispatch(name: str, _package: str) -> Callable[..., str]:
        found: Callable[..., str] = getattr(module, f"{engine}__{name}", None) or getattr(module, f"default__{name}")
        return found

    values["adapter"] = SimpleNamespace(dispatch=dispatch)
    parts = ("dateadd", "datediff")
    values["dbt"] = SimpleNamespace(**{name: lambda *given, name=name: dispatch(name, "dbt")(*given) for name in parts})
    values |= {"assert_not_null": lambda _, value: value}
    module = environment.from_string(template, globals=values).make_module()
    text = environment.from_string(expression, globals=values).render(
        {name: getattr(module, name) for name in dir(module)}
    )
    return str(module.on_spark(text)) if engine == "spark" else text


def read_adapter(engine: str) -> list[str]:
    """Return the date macros of the adapter for DuckDB; those for Spark are in macros/spark.sql."""
    if engine == "spark":
        return []
    found = importlib.util.find_spec("dbt.include.duckdb")
    folder = Path((found.submodule_search_locations or [""])[0] if found else "") / "macros" / "utils"
    return [(folder / f"{name}.sql").read_text(encoding="utf-8") for name in ("dateadd", "datediff")]


def test_expressions_give_the_same_on_duckdb_as_they_should() -> None:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for name, (expression, expected) in EXPRESSIONS.items():
            given = connection.execute(f"select {render(expression, engine='duckdb')} from ({ROWS}) as rows").fetchone()
            assert is_same(given[0] if given else None, expected), name


def test_expressions_give_the_same_on_spark(spark_session: "SparkSession") -> None:
    columns = [f"{render(sql, engine='spark')} as c{number}" for number, (sql, _) in enumerate(EXPRESSIONS.values())]
    of_groups = [each for each in columns if "avg(" in each or "collect_set(" in each]
    plain = [each for each in columns if each not in of_groups]
    row: dict[str, Any] = {}
    for chosen in (plain, of_groups):
        row |= spark_session.sql(f"select {', '.join(chosen)} from ({ROWS}) as rows").collect()[0].asDict()
    for number, (name, (_, expected)) in enumerate(EXPRESSIONS.items()):
        assert is_same(row[f"c{number}"], expected), name


def test_what_sparks_tables_lack_is_still_lacking(spark_session: "SparkSession") -> None:
    spark_session.sql("create schema if not exists lacking")
    spark_session.sql("create table lacking.days using parquet as select 1 as customer")
    for statement in ("delete from lacking.days", "create table lacking.keyed (id int primary key) using parquet"):
        with pytest.raises(Exception, match=r"(?i)unsupported|not support"):
            spark_session.sql(statement)
    assert render("{{ spark__persist_constraints('days', {}) }}", engine="spark").strip() == ""


def test_a_text_with_an_unknown_part_is_joined_on_duckdb_alone(spark_session: "SparkSession") -> None:
    joined = "select concat('a', cast(null as string)) as joined"
    assert duckdb.sql(joined).fetchone() == ("a",)
    assert spark_session.sql(joined).collect()[0]["joined"] is None


def test_models_of_spark_join_texts_in_known_places_alone() -> None:
    found = {
        str(path.relative_to(HERE / "models"))
        for folder in FOLDERS
        for path in HERE.glob(f"models/{folder}/**/*.sql")
        if re.search(r"\bconcat\(", path.read_text(encoding="utf-8"))
    }
    assert found == JOINS_TEXTS


def is_same(given: object, expected: object) -> bool:
    """Whether two values are the same, numbers within 1e-9 of each other."""
    if isinstance(expected, float):
        return isinstance(given, float) and math.isclose(given, expected, rel_tol=1e-9)
    return given == expected


def test_models_use_what_both_engines_know() -> None:
    faults = []
    for path in sorted([*HERE.glob("models/**/*.sql"), *HERE.glob("macros/*.sql")]):
        text = re.sub(r"{#.*?#}|--[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"{% macro duckdb__.*?{%-? endmacro %}", "", text, flags=re.DOTALL)
        text = re.sub(r"'[^']*'", "''", text)
        faults += [f"{path.relative_to(HERE)}: {found.group()}" for found in UNPORTABLE.finditer(text)]
    assert faults == []
