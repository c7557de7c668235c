"""The page of the canonical tables says what the contract says."""

from pathlib import Path

from company.contract import TABLES
from orchestration.commands.tables import write_page

PAGE = Path(__file__).parents[2] / "docs" / "canonical-tables.md"


def test_the_page_in_the_docs_is_the_one_that_the_command_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page(), "write it anew: holdfast tables > docs/canonical-tables.md"


def test_the_page_names_every_column_and_the_words_it_may_hold() -> None:
    page = write_page()
    for table in TABLES.values():
        section = page.split(f"## {table.name}\n")[1].split("\n## ")[0]
        assert [name for name in table.names if f"| `{name}` |" not in section] == []
    orders = page.split("## orders\n")[1].split("\n## ")[0]
    assert "`paid`, `failed`, `cancelled`, `refunded`" in orders
