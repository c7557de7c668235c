"""Expressions of a company file, rewritten so that no value can stop a landing."""

from collections.abc import Iterator

import duckdb
import pytest

from company.company_file import Writing
from ingestion.expressions import Expression, ExpressionError, refuse_clause, table_names
from ingestion.expressions import parse as parse_as
from ingestion.values import Reading


def parse(connection: duckdb.DuckDBPyConnection, text: str, *, is_grouped: bool = False) -> Expression:
    return parse_as(connection, text, reading=Reading(writing=Writing(), zone="UTC"), is_grouped=is_grouped)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("create table t as select * from (values ('1', 'a'), ('x', 'a'), (null, 'b')) t(v, g)")
        yield opened


def test_an_expression_without_a_conversion_stays_as_it_was_written(connection: duckdb.DuckDBPyConnection) -> None:
    parsed = parse(connection, "coalesce(v, t.g) || '-x'")
    assert (parsed.text, parsed.lost, parsed.given) == ("(coalesce(v, t.g) || '-x')", None, None)
    assert parsed.reads == {"v", "t", "g"}


@pytest.mark.parametrize(
    ("written", "values", "lost"),
    [
        ("cast(v as integer) + 1", [2, None, None], [False, True, False]),
        ("v::double", [1, None, None], [False, True, False]),
        ("strptime(v, '%d') is null", [False, True, True], [False, True, False]),
        ("cast(cast(v as double) as tinyint)", [1, None, None], [False, True, False]),
        ("cast(g as varchar)", ["a", "a", "b"], None),
        ("date '2024-01-01' + interval 1 day > cast('2024-01-01' as date)", [True, True, True], None),
        ("row_number() over (order by cast(v as integer) nulls last)", [1, 2, 3], [False, True, False]),
    ],
)
def test_a_conversion_yields_null_and_tells_where(
    connection: duckdb.DuckDBPyConnection, written: str, values: list[object], lost: list[bool] | None
) -> None:
    parsed = parse(connection, written)
    assert [value for (value,) in connection.execute(f"select {parsed.text} from t").fetchall()] == values
    told = parsed.lost and [value for (value,) in connection.execute(f"select {parsed.lost} from t").fetchall()]
    assert told == lost


def test_a_conversion_inside_a_sum_tells_which_group_lost_a_value(connection: duckdb.DuckDBPyConnection) -> None:
    parsed = parse(connection, "sum(cast(v as integer))", is_grouped=True)
    query = f"select g, {parsed.text}, {parsed.lost} from t group by g order by g"
    assert connection.execute(query).fetchall() == [("a", 1, True), ("b", None, False)]


@pytest.mark.parametrize("written", ["a, b", "a from t", "a; drop table t", "1 +", "", "1) or (1"])
def test_what_is_not_one_expression_is_refused(connection: duckdb.DuckDBPyConnection, written: str) -> None:
    with pytest.raises(ExpressionError):
        parse(connection, written)


def test_the_tables_of_a_relation_are_found_through_joins_and_subqueries(connection: duckdb.DuckDBPyConnection) -> None:
    relation = "(with c as (select * from a) select * from c join b using (x)) left join d using (x)"
    assert table_names(connection, relation) == ("a", "b", "d")


@pytest.mark.parametrize(
    "written",
    [
        "(select max(v) from t)",
        "v in (select g from t)",
        "exists (select 1)",
        "read_csv('/etc/passwd')",
        "getenv('HOME')",
        "current_setting('home_directory')",
        "query('select 1')",
    ],
)
def test_an_expression_that_reaches_beyond_its_row_is_refused(
    connection: duckdb.DuckDBPyConnection, written: str
) -> None:
    with pytest.raises(ExpressionError, match="cannot"):
        parse(connection, written)


@pytest.mark.parametrize("written", ["1; copy (select 1) to 'x'", "g having 1 = 1", "(select 1)", "g order by 1"])
def test_what_groups_rows_is_expressions_alone(connection: duckdb.DuckDBPyConnection, written: str) -> None:
    with pytest.raises(ExpressionError):
        refuse_clause(connection, written)


def test_columns_expressions_and_all_may_group_rows(connection: duckdb.DuckDBPyConnection) -> None:
    for written in ("g", "g, v", "lower(g)", "all", "1"):
        refuse_clause(connection, written)


@pytest.mark.parametrize("relation", ["read_csv('/etc/passwd')", "a, glob('*')", "(select getenv('HOME') from a)"])
def test_a_relation_reads_declared_tables_only(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    with pytest.raises(ExpressionError, match="cannot"):
        table_names(connection, relation)


def test_a_relation_may_unfold_lists(connection: duckdb.DuckDBPyConnection) -> None:
    assert table_names(connection, "(select a.id, unnest(a.items) from a), unnest([1]) n(x)") == ("a",)
