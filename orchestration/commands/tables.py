"""`holdfast tables`: the canonical tables with every column and word, as the page `docs/canonical-tables.md`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from company.contract import TABLES, Column, Table
from company.yaml_file import load_yaml

DBT_PROJECT = Path(__file__).parents[2] / "dbt_project" / "dbt_project.yml"
HEAD = """# Canonical tables

Written by `holdfast tables`; do not edit. A company fills these tables in `company.yaml` ([connect](connect.md)). Only
`customers` and one of `orders` or `subscriptions` are required. A value that cannot be read costs its row where the
column is required or essential; elsewhere the value is emptied and counted. Personal columns are stored as tokens.
"""


def tables() -> None:
    """Print the canonical tables, column by column, with the words that a column may hold, as Markdown."""
    typer.echo(write_page(), nl=False)


def write_page() -> str:
    """Return the page as Markdown that ends with a line end."""
    cleaning = load_yaml(DBT_PROJECT)["vars"]["cleaning"]
    return "\n".join([HEAD, *(line for table in TABLES.values() for line in _describe(table, cleaning))]) + "\n"


def _describe(table: Table, cleaning: Mapping[str, Any]) -> Iterator[str]:
    vocabularies = cleaning["spellings"].get(table.name, {})
    moment = f"; placed in time by `{table.moment}`" if table.moment else ""
    yield f"## {table.name}\n"
    yield f"{table.grain[0].upper()}{table.grain[1:]}; key {', '.join(f'`{name}`' for name in table.key)}{moment}.\n"
    yield "| column | type | meaning | words |\n|---|---|---|---|"
    for column in table.columns:
        words = cleaning["vocabularies"][vocabularies[column.name]] if column.name in vocabularies else ()
        cells = (f"`{column.name}`", column.type.value, _explain(column), ", ".join(f"`{word}`" for word in words))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _explain(column: Column) -> str:
    marks = {
        "required": column.is_required,
        "essential": column.is_essential,
        "personal": column.personal,
        f"in {column.unit}": bool(column.unit),
        f"at least {column.low:g}" if column.low is not None else "": column.low is not None,
        f"at most {column.high:g}" if column.high is not None else "": column.high is not None,
    }
    held = [mark for mark, holds in marks.items() if holds]
    return f"{column.description} ({', '.join(held)})" if held else column.description
