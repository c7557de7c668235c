"""What Dagster is told: the keys, who owns them, and the clockwork, for the shop of the example."""

import json
import os
from pathlib import Path

import processes
import pytest

ROOT = Path(__file__).parents[2]
KEYS = Path(__file__).with_name("asset_keys.txt")
DESCRIBE = """
import json
import os
from orchestration.definitions import build_definitions
from orchestration.defs.sources import find_feed
from orchestration.deployment import load_deployment
from orchestration.settings import read_settings
deployment = load_deployment(read_settings(os.environ))
definitions = build_definitions(deployment)
graph = definitions.resolve_asset_graph()
nodes = [graph.get(key) for key in graph.materializable_asset_keys]
described = {
    node.key.to_user_string(): {
        "group": node.group_name,
        "owners": list(node.owners),
        "kinds": sorted(node.kinds),
        "description": node.description,
        "is_partitioned": node.is_partitioned,
    }
    for node in nodes
}
repository = definitions.get_repository_def()
gates = [key for key in graph.asset_check_keys if graph.get(key).blocking and key.name.endswith("_gate")]
checks = sorted(key.to_user_string() for key in gates)
clockwork = {
    "schedules": {each.name: each.default_status.value for each in repository.schedule_defs},
    "sensors": {each.name: each.default_status.value for each in repository.sensor_defs},
}
company = deployment.company
raw = [(schema, table) for table, schemas in company.feeds().items() for schema in schemas]
fresh = {table: find_feed(company, schema, table).fresh_within_days for schema, table in raw}
links = {node.key.to_user_string(): node.metadata["dbt_docs"].value for node in nodes if "dbt_docs" in node.metadata}
page = deployment.settings.home / "docs" / "index.html"
deployment.dbt.write_docs()
written = page.stat().st_mtime_ns
deployment.dbt.write_docs()
text = page.read_text()
docs = {
    "tells_of_features": "Days since the last purchase; a purchase yesterday is 1" in text,
    "reports_to_nobody": '"send_anonymous_usage_stats": false' in text,
    "is_written_once": page.stat().st_mtime_ns == written,
}
found = {"docs": docs, "assets": described, "gates": checks, "clockwork": clockwork, "fresh": fresh, "links": links}
print("RESULT" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, object]]]:
    home = tmp_path_factory.mktemp("definitions")
    company = ROOT / "examples" / "complete_journey" / "company.yaml"
    environment = os.environ | {"HOLDFAST_HOME": str(home), "HOLDFAST_COMPANY": str(company)}
    answer = processes.call(DESCRIBE, environment=environment, folder=ROOT)
    assert answer.returncode == 0, answer.stdout
    found: dict[str, dict[str, dict[str, object]]] = json.loads(answer.stdout.rsplit("RESULT", maxsplit=1)[1])
    return found


def test_the_asset_keys_are_the_pinned_warehouse_addresses(described: dict[str, dict[str, object]]) -> None:
    assert sorted(described["assets"]) == KEYS.read_text().splitlines()


@pytest.mark.parametrize("attribute", ["group", "owners", "kinds", "description", "is_partitioned"])
def test_every_asset_says_what_it_is(described: dict[str, dict[str, dict[str, object]]], attribute: str) -> None:
    assert [key for key, asset in described["assets"].items() if not asset[attribute]] == []


def test_every_seam_has_a_blocking_gate(described: dict[str, dict[str, object]]) -> None:
    gates = {str(key).rsplit(":", maxsplit=1)[1] for key in described["gates"]}
    assert gates == {"sources_gate", "customer_360_gate", "features_gate", "scores_gate", "plans_gate"}


def test_schedules_and_sensors_run_by_default(described: dict[str, dict[str, object]]) -> None:
    assert described["clockwork"] == {
        "schedules": {"every_month": "RUNNING", "every_night": "RUNNING"},
        "sensors": {
            "apply_model_reviews": "RUNNING",
            "look_at_alerts": "RUNNING",
            "request_retrain_on_drift": "RUNNING",
            "notify_holdout_contact": "RUNNING",
            "notify_run_failure": "RUNNING",
            "send_when_due": "RUNNING",
        },
    }


def test_the_gate_on_the_sources_knows_how_old_each_table_may_be(described: dict[str, dict[str, object]]) -> None:
    assert {table: days for table, days in described["fresh"].items() if days} == {"orders": 3}


def test_the_docs_are_one_page_that_is_written_when_the_project_changed(
    described: dict[str, dict[str, object]],
) -> None:
    assert described["docs"] == {"tells_of_features": True, "reports_to_nobody": True, "is_written_once": True}


def test_every_dbt_model_links_its_own_page_of_the_docs(described: dict[str, dict[str, object]]) -> None:
    models = {key for key, asset in described["assets"].items() if "dbt" in asset["kinds"]}
    assert described["links"].keys() == models
    assert described["links"]["customer_360/customers"].endswith("/docs/index.html#!/model/model.holdfast.customers")
