"""Fields of json rows as trees: a row leaves out what is empty, so what it may hold is put together from several sides.

A tree is a mapping from field to tree, or the name of a type; `NULL` and `JSON` stand where no value was seen.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from ingestion.readers.extract import quoted

Tree = Any
TEXT = "VARCHAR"
_UNSEEN = {"NULL", "JSON", '"NULL"'}


def fields_of(paths: Iterable[tuple[str, ...]]) -> dict[str, Tree]:
    """Return the tree of the fields that `paths` lead to, each a text where nothing leads further."""
    tree: dict[str, Tree] = {}
    for path in sorted(paths, key=len):
        place = tree
        for part in path[:-1]:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place.setdefault(path[-1], TEXT)
    return tree


def merge(seen: Tree, expected: Tree) -> Tree:
    """Return what was `seen`, with what was `expected` wherever nothing was seen."""
    if isinstance(seen, dict) and isinstance(expected, dict):
        both = {name: merge(seen[name], kind) for name, kind in expected.items() if name in seen}
        return {**expected, **seen, **both}
    return expected if isinstance(seen, str) and seen in _UNSEEN else seen


def as_tree(kind: str) -> Tree:
    """Return the tree of a DuckDB type."""
    return _tree(duckdb.sqltype(kind)) if kind.startswith("STRUCT") else kind


def as_type(tree: Tree) -> str:
    """Return the DuckDB type of a tree whose leaves are read as text."""
    if isinstance(tree, Mapping):
        return f"STRUCT({', '.join(f'{quoted(name)} {as_type(kind)}' for name, kind in tree.items())})"
    return str(tree).replace("JSON", TEXT) if "[" in str(tree) else TEXT


def _tree(kind: Any) -> Tree:  # noqa: ANN401 - DuckDB's type objects
    if kind.id == "struct":
        return {name: _tree(child) for name, child in kind.children}
    return str(kind)
