"""What the models say themselves: every column of the contract, in SQL that other engines read alike."""

import re

import pytest

from company.contract import TABLES
from dbt_project.library import HERE

SILENTLY_DIFFERENT = {
    "a cast by colons": r"::",
    "arg_max": r"\barg_(max|min)\b",
    "quantile_cont": r"\bquantile_cont\b",
    "an ordered list": r"\b(list|array_agg|string_agg)\s*\(",
    "generate_series": r"\bgenerate_series\b",
    "unnest": r"\bunnest\b",
    "exclude": r"\*\s*exclude",
    "strftime": r"\bstrftime\b",
    "epoch": r"\bepoch",
    "a quoted identifier": r'"',
    "any_value": r"\bany_value\b",
}


@pytest.mark.parametrize("table", TABLES)
def test_staging_carries_every_column_that_is_not_personal_and_a_personal_one_as_a_token_at_most(table: str) -> None:
    model = (HERE / f"models/staging/stg_{table}.sql").read_text(encoding="utf-8")
    names = [column.name for column in TABLES[table].columns]
    missing = [name for name in names if not re.search(rf"\b{name}\b(?! as {name}_token)", model)]
    unstaged = [c.name for c in TABLES[table].columns if (c.personal and table != "identities") or c.name == "is_test"]
    assert missing == unstaged


@pytest.mark.parametrize("model", sorted((HERE / "models").rglob("*.sql")), ids=lambda path: path.stem)
def test_no_model_says_what_another_engine_reads_differently(model: object) -> None:
    sql = re.sub(r"\{\{ config\(.*?\) \}\}", "", model.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [name for name, pattern in SILENTLY_DIFFERENT.items() if re.search(pattern, sql)] == []
