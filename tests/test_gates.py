"""Every gate, with a spoilt input that it stops, and nothing behind it ran."""

import json
import shutil
from datetime import UTC, datetime

import duckdb
import pytest
from instance import AS_OF, Instance

from ingestion.landing import land
from ingestion.readers import load_company

SPOILT = {
    "sources": ("delete from raw_shop.orders", "staging/stg_orders"),
    "customer_360": (
        "insert into customer_360.customers select * from customer_360.customers limit 3",
        "features/customer_features",
    ),
    "features": (
        f"update features.customer_features set recency_days = -1 where as_of = '{AS_OF}'",
        "scores/churn_scores",
    ),
    "scores": ("update scores.churn_scores set probability = 2, score = 200", "retention/alerts"),
    "plans": ("update retention.plans set cost = 1e9 where arm = 'treated'", "operational/outbox"),
}
RUN = """
import json, os, shutil, sys
import dagster as dg
import duckdb
from orchestration.definitions import defs

as_of, warehouse, kept = sys.argv[1], sys.argv[2], sys.argv[2] + ".kept"
definitions = defs()


def materialize(behind, gate):
    chosen = dg.AssetSelection.assets(dg.AssetKey(behind.split("/")))
    selection = chosen.required_multi_asset_neighbors().without_checks()
    if gate:
        keys = [key for key in definitions.resolve_asset_graph().asset_check_keys if key.name == gate]
        selection = selection | dg.AssetSelection.checks(*keys)
    jobs = dg.Definitions(jobs=[dg.define_asset_job("behind", selection)])
    job = dg.Definitions.merge(definitions, jobs).resolve_job_def("behind")
    result = job.execute_in_process(partition_key=as_of, raise_on_error=False)
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return {
        "made": [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()],
        "failed": sorted({each.check_name for each in result.get_asset_check_evaluations() if not each.passed}),
        "words": [str(error.cause.message if error.cause else error.message) for error in errors],
    }


shutil.copyfile(warehouse, kept)
found = {}
for seam, (spoil, behind) in json.loads(sys.argv[3]).items():
    shutil.copyfile(kept, warehouse)
    with duckdb.connect(warehouse) as connection:
        connection.execute(spoil)
    found[seam] = [materialize(behind, f"{seam}_gate"), materialize(behind, None)]
print("RESULT" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def stopped(
    finished_instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, list[str]]]]:
    """What happened behind each gate in the run of its verdict, and in a later run without it."""
    home = tmp_path_factory.mktemp("spoilt") / "home"
    shutil.copytree(finished_instance.home, home, ignore=shutil.ignore_patterns("dagster", "gates", "outbox"))
    instance = Instance(folder=finished_instance.folder, home=home)
    arguments = [AS_OF, str(home / "warehouse.duckdb"), json.dumps(SPOILT)]
    answer = instance.execute(RUN, *arguments)
    assert "RESULT" in answer.stdout, answer.stdout
    found: dict[str, list[dict[str, list[str]]]] = json.loads(answer.stdout.rsplit("RESULT", maxsplit=1)[1])
    return found


@pytest.mark.parametrize("seam", SPOILT)
def test_a_closed_gate_stops_what_is_behind_it(stopped: dict[str, list[dict[str, list[str]]]], seam: str) -> None:
    same_run = stopped[seam][0]
    assert (same_run["made"], same_run["failed"]) == ([], [f"{seam}_gate"])


@pytest.mark.parametrize("seam", SPOILT)
def test_a_closed_gate_stays_closed_in_later_runs(stopped: dict[str, list[dict[str, list[str]]]], seam: str) -> None:
    later = stopped[seam][1]
    assert later["made"] == []
    assert f"The {seam} gate is closed for {AS_OF}" in later["words"][0]


def test_quarantined_rows_are_counted_and_can_be_read_back(instance: Instance) -> None:
    orders = instance.folder / "orders.csv"
    orders.write_text(orders.read_text() + "o999999,c0001,not a day,10.0,0.0\n")
    with duckdb.connect(str(instance.home.parent / "raw.duckdb")) as connection:
        report = land(
            connection,
            load_company(instance.company),
            "orders",
            secrets={},
            batch="b",
            landed_at=datetime(2024, 10, 1, tzinfo=UTC),
        )
        read_back = connection.execute("select table_name, row_key, batch from quarantine.rows").fetchall()
    assert (report.rows_quarantined, read_back) == (1, [("orders", "o999999", "b")])
