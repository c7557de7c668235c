"""What a training reads: the targets ahead, and the customers who are drawn."""

from datetime import date

import duckdb
import pytest

from company.churn import ChurnDefinition
from company.policy import load_policy
from orchestration.engines import DuckDb
from orchestration.lead_times import declare_lead_times
from orchestration.training_set import TrainingSet, read_training_set
from orchestration.warehouse import Warehouse

UNTIL = date(2025, 4, 1)
TABLES = """
    create schema features;
    create table features.labelled_snapshots as
        select day as as_of, 'c' || i as customer_id, 100.0 * i as amount_spent_365d, null as customer_group,
            day + 28 as label_until, i = 2 as churned, false as is_treated,
            i = 2 as churned_after_30, day + 58 as churned_after_30_until, 'north' as group_region
        from range(399) as t(i), (values (date '2025-01-01'), (date '2025-02-01'), (date '2025-03-01')) as days(day);
"""


class Company:
    """What the training set asks of a company."""

    churn = ChurnDefinition(definition="inactivity", horizon_days=28)
    churn_also = (ChurnDefinition(definition="inactivity", horizon_days=28, lead_days=30),)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    path = tmp_path_factory.mktemp("learned") / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(TABLES)
    return Warehouse(engine=DuckDb(path=path))


def read(warehouse: Warehouse, **training: object) -> TrainingSet:
    policy = load_policy({"training": {"lead_days": [30], **training}})
    return read_training_set(warehouse, Company, policy, (), as_of=UNTIL, until=UNTIL)  # type: ignore[arg-type]


def test_a_target_ahead_is_known_once_its_window_is_over(warehouse: Warehouse) -> None:
    rows = read(warehouse).rows.to_pylist()

    ahead = {(each["as_of"].month, each["customer_id"]): each["churned_after_30"] for each in rows}
    assert [ahead[month, "c2"] for month in (1, 2, 3)] == [True, True, None]
    assert [ahead[month, "c3"] for month in (1, 2, 3)] == [False, False, None]


def test_groups_and_ends_of_windows_are_kept_from_the_model(warehouse: Warehouse) -> None:
    found = read(warehouse)

    assert set(found.rows.column_names) == {
        *("as_of", "customer_id", "amount_spent_365d", "customer_group", "churned", "is_treated", "churned_after_30")
    }
    assert found.groups == {"region": ["north"] * 1197}


def test_beyond_the_most_rows_whole_customers_are_drawn_and_the_number_of_all_is_told(warehouse: Warehouse) -> None:
    found = read(warehouse, maximum_rows=1000)

    assert (found.known, read(warehouse).rows.num_rows) == (1197, 1197)
    assert 900 < found.rows.num_rows < 1100
    customers = found.rows.column("customer_id").to_pylist()
    assert {customers.count(each) for each in set(customers)} == {3}


def test_a_lead_time_that_the_company_declares_itself_is_not_declared_twice() -> None:
    policy = load_policy({"training": {"lead_days": [30, 60]}})

    assert [each.lead_days for each in declare_lead_times(Company, policy)] == [30, 60]  # type: ignore[arg-type]
