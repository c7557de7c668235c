"""What the dbt project is given of the ground with every call: dbt cannot import Python, and nothing is typed twice.

The macros read it as the vars `canonical_tables` and `policy`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from company.contract import TABLES, Table
from company.policy import Policy
from company.yaml_file import load_yaml

PROJECT_FILE = Path(__file__).with_name("dbt_project.yml")
# the sections, or keys of sections, that models compute with
SECTIONS: dict[str, Any] = {
    **dict.fromkeys(
        (
            "rfm",
            "clv",
            "lifecycle",
            "value_tiers",
            "tags",
            "value_trend",
            "product_rules",
            "leaver_groups",
            "coverage",
            "triggers",
            "stated_reasons",
        ),
        True,
    ),
    "contact_rules": {"consent", "channels"},
    "training": {"groups"},
    "fairness": {"protected", "segments"},
    "forecast": {"groups"},
    "incidents": {"group_by", "days", "baseline_weeks"},
}


def declare_ground(policy: Policy, tables: Mapping[str, Table] = TABLES) -> dict[str, Any]:
    """Return the vars of canonical `tables`, which may have a company's own columns, and of the policy's thresholds."""
    return {
        "canonical_tables": {name: _declare(table) for name, table in tables.items()},
        "policy": policy.model_dump(mode="json", include=SECTIONS),
    }


def read_tags() -> list[dict[str, str]]:
    """Return the declared tags, each with its name, condition, owner, reason and words, as dbt_project.yml has them."""
    tags: list[dict[str, str]] = load_yaml(PROJECT_FILE)["vars"]["tags"]
    return tags


def _declare(table: Table) -> dict[str, Any]:
    columns = [{"name": column.name, "type": str(column.type)} for column in table.columns]
    return {"key": list(table.key), "columns": columns}
