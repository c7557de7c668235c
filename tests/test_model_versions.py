"""What a registered version carries, and what a person sees of it, after a real run."""

import json
import re
import sqlite3
from html.parser import HTMLParser
from typing import Any

import duckdb
import pytest
from instance import AS_OF, Instance, PreparedRun

from ml.monitoring.drift_report import FOREIGN

EXACT = 10  # digits from which on a rate is a customer's own: other figures may be shares that any page may show
LOOK = """
import json, os, sys
from datetime import date
from typer.testing import CliRunner
from orchestration.commands.model import app

company, home, as_of = sys.argv[1:]
where = ["--company", company, "--home", home]
found = {}
for name, arguments in {"list": [], "rollback": ["--by", "ann", "--reason", "a test"]}.items():
    answer = CliRunner().invoke(app, [name, *arguments, *where])
    found[name] = [answer.exit_code, answer.output]
from orchestration.defs.monitoring import draw_page
from orchestration.deployment import load_deployment
from orchestration.resources import open_registry, open_store, open_warehouse
from orchestration.settings import read_settings

deployment = load_deployment(read_settings(os.environ))
registry, warehouse = open_registry(deployment.settings), open_warehouse(deployment.settings)
champion = registry.champion()
rates = [name for name in champion.model.features if name.startswith("rate_")]
page = draw_page(warehouse, deployment, champion, date.fromisoformat(as_of), rates)
found["page"] = page["page_of_the_month"].value.rsplit("/", maxsplit=1)[1]

import dagster as dg
from orchestration.defs.clockwork import apply_model_reviews

registry._client.delete_registered_model_alias("churn", "champion")
registry.annotate("1", {"lifecycle_status": "awaiting_review", "review_state": "approved", "reviewed_by": "ann"})
with open_store(deployment.settings) as store:
    context = dg.build_sensor_context(resources={"store": store, "registry": registry})
    moved, later = (apply_model_reviews(context) for _ in range(2))
names = ("model_version", "lifecycle_status")
found["moved"] = [[event.metadata[name].value for name in names] for event in moved.asset_events]
found["later"] = later.skip_reason.skip_message
found["champion"] = registry.aliases()
print("RESULT" + json.dumps(found))
"""


class Addresses(HTMLParser):
    """Every address that a page would load something from."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.extend(f"{tag} {value}" for name, value in attrs if name in {"src", "href", "data", "action"})


@pytest.fixture(scope="module")
def seen(prepared_run: PreparedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What commands, drift page and sensor do on a copy of the instance, in one process that loads their libraries."""
    copy = prepared_run.copy(tmp_path_factory.mktemp("looked_at") / "home")
    answer = copy.execute(LOOK, str(copy.company), str(copy.home), AS_OF)
    assert "RESULT" in answer.stdout, answer.stdout
    found: dict[str, Any] = json.loads(answer.stdout.rsplit("RESULT", maxsplit=1)[1])
    return {**found, "home": copy.home}


@pytest.fixture(scope="module")
def documents(finished_instance: Instance) -> dict[str, bytes]:
    """Every artifact that the run left in the registry."""
    folder = finished_instance.home / "mlflow" / "artifacts"
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_tags(instance: Instance) -> dict[str, str]:
    with sqlite3.connect(instance.home / "mlflow" / "mlflow.db") as connection:
        return dict(connection.execute("select key, value from model_version_tags").fetchall())


def read_customers(instance: Instance) -> list[str]:
    with duckdb.connect(str(instance.home / "warehouse.duckdb"), read_only=True) as connection:
        return [row[0] for row in connection.execute("select customer_id from customer_360.customers").fetchall()]


def test_no_artifact_names_a_customer(documents: dict[str, bytes], finished_instance: Instance) -> None:
    customers = set(read_customers(finished_instance))
    assert len(customers) > 100
    words = {
        name: set(re.findall(r"[\w+/=-]+", content.decode(errors="replace"))) for name, content in documents.items()
    }
    assert [(name, sorted(said & customers)) for name, said in words.items() if said & customers] == []


def test_a_version_carries_its_card_its_data_and_the_reference_for_drift(documents: dict[str, bytes]) -> None:
    assert {"card.html", "data.json", "drift_reference.json", "model.json", "evaluation.json"} <= set(documents)
    data = json.loads(documents["data.json"])
    assert [
        table for table, slices in data["tables"].items() if sum(each["rows"] for each in slices) < data["rows"]
    ] == []
    assert data["snapshots"] == [each["as_of"] for each in data["tables"]["features.churn_labels"]]
    assert data["labels_until"] == "2024-10-01"


def test_a_version_has_learned_apart_what_tells_why_customers_leave(documents: dict[str, bytes]) -> None:
    model = json.loads(documents["model.json"])
    heard = {each["name"] for each in model.get("shared", model)["causes"]["encoder"]}
    assert "share_discount_90d" in heard
    assert not {"recency_days", "count_orders_90d"} & heard


def test_a_version_says_by_tags_what_the_gates_said_what_asked_for_it_and_what_became_of_it(
    finished_instance: Instance, documents: dict[str, bytes]
) -> None:
    tags = read_tags(finished_instance)
    told = {
        name: tags[name]
        for name in tags
        if name.startswith("gate.") or name in {"trigger", "lifecycle_status", "as_of"}
    }
    assert told == {
        "gate.sources": "passed",
        "gate.customer_360": "passed",
        "gate.features": "passed",
        "gate.training": "passed",
        "trigger": "monthly",
        "lifecycle_status": "promoted",
        "as_of": "2024-10-01",
    }
    assert tags["run_url"].rsplit("/", maxsplit=1)[0].endswith("/runs")
    assert tags["data_fingerprint"] == json.loads(documents["data.json"])["fingerprint"]
    assert tags["data_fingerprint"] in documents["card.html"].decode()


def test_every_model_version_is_listed_and_a_first_champion_cannot_be_rolled_back(seen: dict[str, Any]) -> None:
    code, said = seen["list"]
    assert (code, [word for word in ("champion", "promoted", "monthly", "2024-10-01") if word not in said]) == (0, [])
    code, said = seen["rollback"]
    assert (code, "no earlier champion" in " ".join(said.split())) == (2, True)


def test_the_sensor_moves_the_champion_once_a_person_has_approved(seen: dict[str, Any]) -> None:
    assert seen["moved"] == [["1", "promoted"]]
    assert (seen["champion"], seen["later"]) == ({"champion": "1"}, "No version was reviewed since the last look.")


def test_the_month_s_drift_page_loads_nothing_and_holds_no_customer_s_figure(
    seen: dict[str, Any], finished_instance: Instance
) -> None:
    assert seen["page"] == "drift-2024-10.html"
    page = (seen["home"] / "monitoring" / seen["page"]).read_text()
    parser = Addresses()
    parser.feed(page)
    assert (parser.found, FOREIGN.search(page), "cdn." in page) == ([], None, False)
    assert '"score"' in page
    assert '"rate_' in page
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        query = f"select columns('rate_.*') from features.customer_features where as_of = '{AS_OF}'"
        rows = connection.execute(query).fetchall()
    figures = {repr(value) for row in rows for value in row if isinstance(value, float) and len(repr(value)) > EXACT}
    assert len(figures) > 100
    assert [figure for figure in figures if figure in page] == []
    assert set(re.findall(r"\w+", page)) & set(read_customers(finished_instance)) == set()


def test_the_forecast_of_silences_is_not_compared_with_an_industry_s_yearly_losses(finished_instance: Instance) -> None:
    query = """select count(*) filter (where not is_forecast), count(*) filter (where is_forecast), count(industry_line)
        from monitoring.churn_forecast where "group" = 'all'"""
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        past, coming, line = connection.execute(query).fetchone() or (0, 0, 0)
    assert (past >= 6, coming, line) == (True, 3, 0)


def test_customers_are_scored_for_every_lead_time_whose_labels_have_matured_by_the_version_that_scores(
    finished_instance: Instance, documents: dict[str, bytes]
) -> None:
    query = """
        select lead_days, count(distinct customer_id), min(model_version), min(probability) >= 0, max(probability) <= 1
        from scores.lead_scores where as_of = $as_of group by lead_days order by lead_days"""
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        scored = connection.execute(query, {"as_of": AS_OF}).fetchall()
        customers = connection.execute("select count(*) from scores.churn_scores").fetchone() or (0,)
        told = connection.execute("select lead_times, groups from monitoring.trainings").fetchone() or ("", "")
    leads = sorted(int(name[5:-5]) for name in documents if name.startswith("lead_"))
    assert scored == [(lead, customers[0], "1", True, True) for lead in leads]
    clauses = dict(clause.split(" days ahead: ") for clause in told[0].split("; "))
    assert list(clauses) == ["30", "60", "90"]
    assert {lead for lead, found in clauses.items() if found.startswith("AUC")} == {str(lead) for lead in leads}
    assert (30 in leads, "4 snapshot(s), too few" in clauses["90"]) == (True, True)
    assert "new customer: the shared model" in told[1]
