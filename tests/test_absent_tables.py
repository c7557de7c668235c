"""A company of contracts alone runs the whole line; what it does not have is absent and not invented."""

import json
import subprocess
import sys

import duckdb
import pytest
from instance import AS_OF, Instance, write_gym


@pytest.fixture(scope="module")
def gym(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    folder = tmp_path_factory.mktemp("contracts")
    write_gym(folder / "gym")
    instance = Instance(folder=folder / "gym", home=folder / "home")
    report = str(folder / "report.json")
    # as a person starts it, in a fresh interpreter
    command = [sys.executable, "-m", "orchestration.cli", "run", "--as-of", AS_OF, "--company", "company.yaml"]
    done = subprocess.run(
        [*command, "--report", report],
        env=instance.environment,
        cwd=instance.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return instance


def test_every_running_contract_is_scored_and_those_at_risk_are_decided_on(gym: Instance) -> None:
    with duckdb.connect(str(gym.home / "warehouse.duckdb"), read_only=True) as connection:
        scored, running = connection.execute(
            f"""select
                (select count(*) from scores.churn_scores where as_of = '{AS_OF}'),
                (select count(*) from staging.stg_subscriptions
                 where started_date < '{AS_OF}' and coalesce(cancelled_date >= '{AS_OF}', true))"""
        ).fetchone()
        arms = dict(connection.execute("select arm, count(*) from retention.plans group by arm").fetchall())
    assert scored == running > 0
    assert arms.get("treated", 0) > 0


def test_figures_of_orders_are_unknown_and_not_zero(gym: Instance) -> None:
    report = json.loads((gym.folder.parent / "report.json").read_text())
    with duckdb.connect(str(gym.home / "warehouse.duckdb"), read_only=True) as connection:
        known = connection.execute(
            "select count(count_orders_90d), count(recency_days), count(amount_contracts_monthly) "
            "from features.customer_features"
        ).fetchone()
    assert known[:2] == (0, 0)
    assert known[2] > 0
    assert report["tiers"]
