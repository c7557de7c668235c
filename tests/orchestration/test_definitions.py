"""What Dagster is told: the keys, who owns them, and the clockwork, for the shop of the example."""

from pathlib import Path
from typing import Any

import pytest

from orchestration.definitions import build_definitions
from orchestration.defs.sources import find_feed
from orchestration.deployment import Deployment

KEYS = Path(__file__).with_name("asset_keys.txt")


@pytest.fixture(scope="module")
def described(demo: Deployment) -> dict[str, Any]:
    definitions = build_definitions(demo)
    graph, repository = definitions.resolve_asset_graph(), definitions.get_repository_def()
    nodes = {node.key.to_user_string(): node for node in map(graph.get, graph.materializable_asset_keys)}
    raw = [(schema, table) for table, schemas in demo.company.feeds().items() for schema in schemas]
    return {
        "assets": {
            key: {
                "group": node.group_name,
                "owners": list(node.owners),
                "kinds": sorted(node.kinds),
                "description": node.description,
                "is_partitioned": node.is_partitioned,
            }
            for key, node in nodes.items()
        },
        "gates": {key.name for key in graph.asset_check_keys if graph.get(key).blocking and key.name.endswith("_gate")},
        "clockwork": {
            "schedules": {each.name: each.default_status.value for each in repository.schedule_defs},
            "sensors": {each.name: each.default_status.value for each in repository.sensor_defs},
        },
        "fresh": {table: find_feed(demo.company, schema, table).fresh_within_days for schema, table in raw},
        "links": {key: node.metadata["dbt_docs"].value for key, node in nodes.items() if "dbt_docs" in node.metadata},
    }


def test_the_asset_keys_are_the_pinned_warehouse_addresses(described: dict[str, Any]) -> None:
    assert sorted(described["assets"]) == KEYS.read_text().splitlines()


@pytest.mark.parametrize("attribute", ["group", "owners", "kinds", "description", "is_partitioned"])
def test_every_asset_says_what_it_is(described: dict[str, Any], attribute: str) -> None:
    assert [key for key, asset in described["assets"].items() if not asset[attribute]] == []


def test_every_seam_has_a_blocking_gate(described: dict[str, Any]) -> None:
    assert described["gates"] == {"sources_gate", "customer_360_gate", "features_gate", "scores_gate", "plans_gate"}


def test_schedules_and_sensors_run_by_default(described: dict[str, Any]) -> None:
    assert described["clockwork"] == {
        "schedules": {"every_month": "RUNNING", "every_night": "RUNNING"},
        "sensors": {
            "apply_model_reviews": "RUNNING",
            "announce_to_partners": "RUNNING",
            "call_back_on_requests": "RUNNING",
            "look_at_alerts": "RUNNING",
            "request_retrain_on_drift": "RUNNING",
            "notify_holdout_contact": "RUNNING",
            "notify_run_failure": "RUNNING",
            "send_when_due": "RUNNING",
        },
    }


def test_the_gate_on_the_sources_knows_how_old_each_table_may_be(described: dict[str, Any]) -> None:
    assert {table: days for table, days in described["fresh"].items() if days} == {"orders": 3}


def test_the_docs_are_one_page_that_is_written_when_the_project_changed(demo: Deployment) -> None:
    page = demo.settings.home / "docs" / "index.html"
    demo.dbt.write_docs()
    written, text = page.stat().st_mtime_ns, page.read_text()
    demo.dbt.write_docs()
    assert page.stat().st_mtime_ns == written
    assert "Days since the last purchase; a purchase yesterday is 1" in text
    assert '"send_anonymous_usage_stats": false' in text


def test_every_dbt_model_links_its_own_page_of_the_docs(described: dict[str, Any]) -> None:
    models = {key for key, asset in described["assets"].items() if "dbt" in asset["kinds"]}
    assert described["links"].keys() == models
    assert described["links"]["customer_360/customers"].endswith("/docs/index.html#!/model/model.holdfast.customers")
