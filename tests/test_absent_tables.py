"""A company of contracts alone runs the whole line; what it does not have is absent and not invented."""

import json
import subprocess
import sys

import duckdb
import pytest
from instance import AS_OF, Instance, write_gym

from orchestration.resources import open_registry
from orchestration.settings import read_settings


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


def test_columns_of_the_companys_own_are_shown_and_those_that_never_change_are_learned_from(gym: Instance) -> None:
    with duckdb.connect(str(gym.home / "published" / "holdfast.duckdb"), read_only=True) as connection:
        shown = connection.execute(
            "select count(*), count(extra_club), count(extra_came_by_voucher), sum(extra_lockers) from customers"
        ).fetchone()
    with duckdb.connect(str(gym.home / "warehouse.duckdb"), read_only=True) as connection:
        read = connection.execute("select * from features.eligible_snapshots limit 1").to_arrow_table()
    learned = open_registry(read_settings(gym.environment)).read("1").model.features

    assert shown == (600, 600, 600, 600.0)
    assert {"extra_club", "extra_came_by_voucher"} <= set(read.column_names) & set(learned)
    assert "extra_lockers" not in read.column_names
