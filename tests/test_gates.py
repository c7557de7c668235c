"""Every gate, with a spoilt input that it stops, and nothing behind it ran."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from house import AS_OF, House

SPOILT = {
    "sources": ("delete from raw_shop.orders", "customer_360/customers"),
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
CHECKED = {
    "sources": "raw_shop/orders",
    "customer_360": "customer_360/customers",
    "features": "features/customer_features",
    "scores": "scores/churn_scores",
    "plans": "retention/plans",
}
RUN = """
import json, sys
import dagster as dg
from orchestration.definitions import defs
seam, checked, behind, as_of, with_gate = sys.argv[1:6]
definitions = defs()
asset = dg.AssetKey(behind.split("/"))
selection = dg.AssetSelection.assets(asset).without_checks()
if with_gate == "yes":
    keys = [key for key in definitions.resolve_asset_graph().asset_check_keys if key.name == f"{seam}_gate"]
    selection = selection | dg.AssetSelection.checks(*keys)
job = dg.define_asset_job("behind", selection)
merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
result = merged.resolve_job_def("behind").execute_in_process(partition_key=as_of, raise_on_error=False)
made = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
failed = [each.check_name for each in result.get_asset_check_evaluations() if not each.passed]
words = [event.step_failure_data.error.to_string() for event in result.all_events if event.is_step_failure]
print("RESULT" + json.dumps({"made": made, "failed": sorted(set(failed)), "words": words}))
"""


@pytest.fixture(params=list(SPOILT))
def spoilt(request: pytest.FixtureRequest, finished_house: House, tmp_path: Path) -> tuple[str, House]:
    seam: str = request.param
    shutil.copytree(finished_house.home, tmp_path / "home", ignore=shutil.ignore_patterns("dagster", "gates"))
    house = House(folder=finished_house.folder, home=tmp_path / "home")
    with duckdb.connect(str(house.home / "warehouse.duckdb")) as connection:
        connection.execute(SPOILT[seam][0])
    return seam, house


def materialize_behind(seam: str, house: House, *, with_gate: bool) -> dict[str, list[str]]:
    arguments = [seam, CHECKED[seam], SPOILT[seam][1], AS_OF, "yes" if with_gate else "no"]
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, *arguments],
        env=os.environ | house.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RESULT" in answer.stdout, answer.stdout + answer.stderr
    found: dict[str, list[str]] = json.loads(answer.stdout.rsplit("RESULT", maxsplit=1)[1])
    return found


def test_a_closed_gate_stops_what_is_behind_it_in_its_run_and_in_later_ones(spoilt: tuple[str, House]) -> None:
    seam, house = spoilt
    same_run = materialize_behind(seam, house, with_gate=True)
    assert (same_run["made"], same_run["failed"]) == ([], [f"{seam}_gate"])
    later = materialize_behind(seam, house, with_gate=False)
    assert later["made"] == []
    assert f"The {seam} gate is closed for {AS_OF}" in later["words"][0]
