"""SQL expressions out of a company file, made safe for dirty rows.

A plain cast stops the whole landing at the first value that does not fit. Here every cast becomes one that yields
null, and beside the expression stands a condition that tells when it did, so that only that row is set aside.
The rewriting happens on DuckDB's own syntax tree, so nothing is parsed twice by different grammars.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from ingestion.values import Reading

_HARMLESS = {"VARCHAR"}
_NUMBERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
}
# Scalar functions that read the machine or the database rather than their arguments.
_REACHING_OUT = frozenset(
    {"getenv", "current_setting", "query", "query_table", "nextval", "currval", "write_log", "read_text", "read_blob"}
)
_ROWS_OF_VALUES = frozenset({"unnest", "generate_series", "range"})
_WINDOWS = frozenset(
    {"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "nth_value"}
)
_FORGIVING = {"strptime": "try_strptime"}

Node = dict[str, Any]


class ExpressionError(Exception):
    """An expression that is not one SQL expression; str() says why."""


@dataclass(frozen=True, kw_only=True)
class Expression:
    """`text` never fails on a value; `lost` is true where a value was lost and `given` is what was to be converted.

    `has_comma` and `may_be_grouped` are true where a text that is cast to a number holds a comma, or a point that may
    group thousands. All are None where nothing can be lost, `given` also where rows are grouped. `reads` holds every
    part of every column name that the expression mentions, `paths` every such name in its parts.
    """

    text: str
    reads: frozenset[str]
    paths: frozenset[tuple[str, ...]] = frozenset()
    lost: str | None = None
    given: str | None = None
    has_comma: str | None = None
    may_be_grouped: str | None = None


def parse(
    connection: duckdb.DuckDBPyConnection, text: str, *, reading: Reading, is_grouped: bool = False
) -> Expression:
    """Return `text` with forgiving casts, which read numbers and words for nothing as the feed writes them.

    Raises ExpressionError when `text` is not exactly one expression over the columns of the source's rows.
    """
    statement = _tree(connection, f"select {text}")
    selected = statement["node"]["select_list"]
    if len(selected) != 1 or statement["node"]["from_table"]["type"] != "EMPTY":
        raise ExpressionError("it is more than one expression")
    _refuse_reaching_out(selected[0])
    paths = frozenset(tuple(node["column_names"]) for node in _nodes(selected[0]) if "column_names" in node)
    reads = frozenset(part for path in paths for part in path)
    found = list(_conversions(connection, selected[0], reading, is_grouped=is_grouped))
    if not found:
        return Expression(text=f"({text})", reads=reads, paths=paths)
    return Expression(
        text=f"({_text(connection, selected[0])})",
        reads=reads,
        paths=paths,
        lost=" or ".join(conversion.lost for conversion in found),
        given=None if is_grouped else found[0].given,
        has_comma=_either(conversion.has_comma for conversion in found),
        may_be_grouped=_either(conversion.may_be_grouped for conversion in found),
    )


def _either(conditions: Iterable[str | None]) -> str | None:
    return " or ".join(condition for condition in conditions if condition) or None


def _refuse_reaching_out(tree: object) -> None:
    """Refuse what reads anything besides the columns of a row: an expression of a company file says nothing more."""
    if any(node.get("class") == "SUBQUERY" for node in _nodes(tree)):
        raise ExpressionError("a query cannot stand in it")
    _refuse_functions(tree, _functions())


def _refuse_functions(tree: object, known: frozenset[str]) -> None:
    for name in sorted(
        {str(node["function_name"]).lower() for node in _nodes(tree) if node.get("class") == "FUNCTION"}
    ):
        if name in _REACHING_OUT or name not in known:
            raise ExpressionError(f"the function `{name}` cannot be used in it")


def _is_table_function(node: Node) -> bool:
    return node.get("type") == "TABLE_FUNCTION" and "function" in node


def refuse_clause(connection: duckdb.DuckDBPyConnection, grouping: str) -> None:
    """Raise ExpressionError when `grouping` is not one list of expressions, as it stands after GROUP BY."""
    statement = _tree(connection, f"select 1 from source group by {grouping}")
    node = {**statement["node"], "from_table": None}
    if node["where_clause"] or node["having"] or node["qualify"] or node["modifiers"]:
        raise ExpressionError("it is more than what stands after GROUP BY")
    _refuse_reaching_out(node["group_expressions"])


def table_names(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[str, ...]:
    """Return the names of the tables that the SQL `relation` reads, sorted.

    Raises ExpressionError when `relation` cannot stand after `from`.
    """
    tree = _tree(connection, f"select * from {relation}")
    functions = [node["function"]["function_name"].lower() for node in _nodes(tree) if _is_table_function(node)]
    for name in functions:
        if name not in _ROWS_OF_VALUES:
            raise ExpressionError(f"the function `{name}` cannot be read from")
    _refuse_functions(tree, _functions() | _ROWS_OF_VALUES)
    named = {node["table_name"] for node in _nodes(tree) if node.get("type") == "BASE_TABLE"}
    local = {entry["key"] for node in _nodes(tree) if "cte_map" in node for entry in node["cte_map"]["map"]}
    return tuple(sorted(named - local))


@dataclass(frozen=True, kw_only=True)
class _Conversion:
    """One conversion of an expression: when it lost a value, what it was given, and what is doubtful in that."""

    lost: str
    given: str
    has_comma: str | None = None
    may_be_grouped: str | None = None


def _conversions(
    connection: duckdb.DuckDBPyConnection, tree: Node, reading: Reading, *, is_grouped: bool
) -> Iterator[_Conversion]:
    """Make every conversion in `tree` forgiving, in place, and yield each that can lose a value."""
    for node, is_aggregated in list(_strict_nodes(tree)):
        given = _forgive(node)
        if not _reads_columns(given) or (is_grouped and not is_aggregated and not _has_aggregate(given)):
            continue
        source = _text(connection, given)
        is_number = node.get("class") == "CAST" and node["cast_type"]["id"] in _NUMBERS
        if is_number and reading.has_signs:
            _read_signs(connection, node, source, reading)
        text = reading.filled(f"({source})::varchar")
        lost = f"case when ({_text(connection, node)}) is null then ({text}) is not null else false end"
        comma = reading.has_comma(text) if is_number else None
        grouped = reading.may_be_grouped(text) if is_number else None
        around = "coalesce(bool_or({}), false)" if is_aggregated else "({})"
        yield _Conversion(
            lost=around.format(lost),
            given=source,
            has_comma=comma and around.format(comma),
            may_be_grouped=grouped and around.format(grouped),
        )


def _read_signs(connection: duckdb.DuckDBPyConnection, node: Node, source: str, reading: Reading) -> None:
    """Let a cast to a number read text by the signs that the feed declares; numbers are left as they are."""
    text = reading.number(reading.filled(f"({source})::varchar"))
    read = f"case when typeof({source}) = 'VARCHAR' then {text} else ({source})::varchar end"
    node["child"] = _tree(connection, f"select {read}")["node"]["select_list"][0]


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> Node:
    row = connection.execute("select json_serialize_sql(?)", [statement]).fetchone()
    tree: Node = json.loads(row[0]) if row else {}
    if tree.get("error", True):
        raise ExpressionError(tree.get("error_message", "it is not SQL"))
    if len(tree["statements"]) != 1 or tree["statements"][0]["node"]["type"] != "SELECT_NODE":
        raise ExpressionError("it is more than one statement")
    first: Node = tree["statements"][0]
    return first


def _text(connection: duckdb.DuckDBPyConnection, node: Node) -> str:
    empty = _tree(connection, "select 1")
    empty["node"]["select_list"] = [node]
    tree = json.dumps({"error": False, "statements": [empty]})
    row = connection.execute("select json_deserialize_sql(?::json)", [tree]).fetchone()
    return str(row[0]).removeprefix("SELECT ") if row else ""


def _children(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from node.values()
    if isinstance(node, list):
        yield from node


def _nodes(node: object) -> Iterator[Node]:
    if isinstance(node, dict):
        yield node
    for child in _children(node):
        yield from _nodes(child)


def _strict_nodes(node: object, *, inside: bool = False) -> Iterator[tuple[Node, bool]]:
    """Yield every cast and every strict function, innermost first, with whether an aggregate stands around it."""
    if isinstance(node, dict) and node.get("class") == "SUBQUERY":
        return
    name = _function(node)
    for child in _children(node):
        yield from _strict_nodes(child, inside=inside or name in _aggregates())
    if isinstance(node, dict) and (_is_strict_cast(node) or name in _FORGIVING):
        yield node, inside


def _function(node: object) -> str | None:
    return str(node["function_name"]) if isinstance(node, dict) and node.get("class") == "FUNCTION" else None


def _is_strict_cast(node: Node) -> bool:
    return node.get("class") == "CAST" and not node["try_cast"] and node["cast_type"]["id"] not in _HARMLESS


def _forgive(node: Node) -> Node:
    """Make the strict `node` yield null instead of failing, in place; return what it converts."""
    if node["class"] == "CAST":
        node["try_cast"] = True
        given: Node = node["child"]
        return given
    node["function_name"] = _FORGIVING[node["function_name"]]
    converted: Node = node["children"][0]
    return converted


def _reads_columns(node: Node) -> bool:
    return any(part.get("class") == "COLUMN_REF" for part in _nodes(node))


def _has_aggregate(node: Node) -> bool:
    return any(_function(part) in _aggregates() for part in _nodes(node))


@cache
def _aggregates() -> frozenset[str]:
    return _known_functions("function_type = 'aggregate'")


@cache
def _functions() -> frozenset[str]:
    return _known_functions("function_type in ('scalar', 'aggregate', 'macro', 'window')") | _WINDOWS


def _known_functions(condition: str) -> frozenset[str]:
    with duckdb.connect() as connection:
        query = f"select distinct lower(function_name) from duckdb_functions() where {condition}"
        return frozenset(name for (name,) in connection.execute(query).fetchall())
