"""What people and programs outside of dbt read: under contract, described, and with its readers named."""

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

PUBLIC_SCHEMAS = {"customer_360", "features", "decisions", "outcomes"}
READ_BY_PEOPLE = {"cleaning_counts", "cleaning_reconciliation", "feed_coverage", "feed_pauses"}
Manifest = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def manifest(lived: "Warehouse") -> Manifest:
    content: Manifest = json.loads((lived.home / "dbt/target/manifest.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def public(manifest: Manifest) -> Manifest:
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    found = {key: node for key, node in models.items() if node["schema"] in PUBLIC_SCHEMAS}
    return found | {key: node for key, node in models.items() if node["name"] in READ_BY_PEOPLE}


def test_every_public_table_is_under_an_enforced_contract_or_adds_columns_to_one(public: Manifest) -> None:
    assert len(public) > 10
    open_ended = {node["name"] for node in public.values() if not node["contract"]["enforced"]}
    assert open_ended == {"published_customers", "eligible_snapshots", "labelled_snapshots", "value_snapshots"}


def test_a_table_that_adds_columns_to_another_describes_each_it_adds(lived: "Warehouse", public: Manifest) -> None:
    nodes = {node["name"]: node for node in public.values()}

    def describe(name: str) -> list[str]:
        parent = nodes[name]["config"]["meta"].get("extends")
        return [*(describe(parent) if parent else []), *nodes[name]["columns"]]

    for node in public.values():
        if node["config"]["meta"].get("extends"):
            found = lived.query(f"describe {node['schema']}.{node['name']}")["column_name"].tolist()
            by_policy = [name for name in found if name.startswith(("churned_after_", "group_"))]
            assert [name for name in found if name not in by_policy] == describe(node["name"]), node["name"]


def test_every_public_column_says_what_it_is(public: Manifest) -> None:
    silent = [
        f"{node['name']}.{column['name']}"
        for node in public.values()
        for column in node["columns"].values()
        if not (column["description"] and column["data_type"])
    ]
    assert silent == []


def test_every_public_table_says_its_grain_and_tests_something(manifest: Manifest, public: Manifest) -> None:
    tested = {
        key for node in manifest["nodes"].values() if node["resource_type"] == "test" for key in attached_to(node)
    }
    assert [node["name"] for node in public.values() if not node["description"].startswith("One row per")] == []
    assert [node["name"] for key, node in public.items() if key not in tested] == []


def attached_to(test: dict[str, Any]) -> list[str]:
    nodes: list[str] = test["depends_on"]["nodes"]
    return nodes


def test_exposures_name_a_reader_for_each_way_out(manifest: Manifest) -> None:
    named = {exposure["name"] for exposure in manifest["exposures"].values()}
    assert {"churn_model", "messages", "published_snapshot", "retention_dashboard"} <= named


def test_exposures_read_public_tables_only(manifest: Manifest, public: Manifest) -> None:
    read = {key for exposure in manifest["exposures"].values() for key in exposure["depends_on"]["nodes"]}
    assert read - public.keys() == set()
