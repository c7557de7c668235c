"""SQL expressions out of a company file, made safe for dirty rows.

A plain cast stops the whole landing at the first value that does not fit. Here every cast becomes one that yields
null, and beside the expression stands a condition that tells when it did, so that only that row is set aside.
The rewriting happens on DuckDB's own syntax tree, so nothing is parsed twice by different grammars.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

_HARMLESS = {"VARCHAR"}
_FORGIVING = {"strptime": "try_strptime"}

Node = dict[str, Any]


class ExpressionError(Exception):
    """An expression that is not one SQL expression; str() says why."""


@dataclass(frozen=True, kw_only=True)
class Expression:
    """`text` never fails on a value; `lost` is true where a value was lost and `given` is what was to be converted.

    `lost` and `given` are None where nothing can be lost, `given` also where rows are grouped. `reads` holds every
    part of every column name that the expression mentions.
    """

    text: str
    reads: frozenset[str]
    lost: str | None = None
    given: str | None = None


def parse(connection: duckdb.DuckDBPyConnection, text: str, *, is_grouped: bool = False) -> Expression:
    """Return `text` with forgiving casts.

    Raises ExpressionError when `text` is not exactly one expression.
    """
    statement = _tree(connection, f"select {text}")
    selected = statement["node"]["select_list"]
    if len(selected) != 1 or statement["node"]["from_table"]["type"] != "EMPTY":
        raise ExpressionError("it is more than one expression")
    reads = frozenset(part for node in _nodes(selected[0]) for part in node.get("column_names", ()))
    conversions = list(_conversions(connection, selected[0], is_grouped=is_grouped))
    if not conversions:
        return Expression(text=f"({text})", reads=reads)
    return Expression(
        text=f"({_text(connection, selected[0])})",
        reads=reads,
        lost=" or ".join(condition for condition, _ in conversions),
        given=None if is_grouped else conversions[0][1],
    )


def table_names(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[str, ...]:
    """Return the names of the tables that the SQL `relation` reads, sorted.

    Raises ExpressionError when `relation` cannot stand after `from`.
    """
    tree = _tree(connection, f"select * from {relation}")
    named = {node["table_name"] for node in _nodes(tree) if node.get("type") == "BASE_TABLE"}
    local = {entry["key"] for node in _nodes(tree) if "cte_map" in node for entry in node["cte_map"]["map"]}
    return tuple(sorted(named - local))


def _conversions(connection: duckdb.DuckDBPyConnection, tree: Node, *, is_grouped: bool) -> Iterator[tuple[str, str]]:
    """Make every conversion in `tree` forgiving, in place; yield when it lost a value, and what it was given."""
    for node, is_aggregated in list(_strict_nodes(tree)):
        given = _forgive(node)
        if not _reads_columns(given) or (is_grouped and not is_aggregated and not _has_aggregate(given)):
            continue
        source = _text(connection, given)
        condition = f"({source}) is not null and ({_text(connection, node)}) is null"
        yield (f"coalesce(bool_or({condition}), false)" if is_aggregated else f"({condition})"), source


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
    query = "select distinct function_name from duckdb_functions() where function_type = 'aggregate'"
    with duckdb.connect() as connection:
        return frozenset(name for (name,) in connection.execute(query).fetchall())
