"""What a training reads: the targets ahead, the groups as of each snapshot, and the customers who are drawn."""

from datetime import date

import duckdb
import pytest

from company.churn import ChurnDefinition
from company.policy import load_policy
from orchestration.lead_times import declare_lead_times
from orchestration.training_set import TrainingSet, read_training_set
from orchestration.warehouse import Warehouse

UNTIL = date(2025, 4, 1)
TABLES = """
    create schema features; create schema customer_360; create schema retention;
    create table customer_360.customers as
        select 'c' || i as customer_id, if(i = 0, 'company', 'person') as kind, 'north' as region
        from range(400) as t(i);
    create table features.customer_features as
        select day as as_of, 'c' || i as customer_id, i <> 399 as is_eligible, 100.0 * i as amount_spent_365d,
            if(i < 2, 10.0, 500.0) as tenure_days
        from range(400) as t(i), (values (date '2025-01-01'), (date '2025-02-01'), (date '2025-03-01')) as days(day);
    create table features.churn_labels as
        select as_of, customer_id, as_of + 28 as label_until, as_of + 28 <= date '2025-04-01' as is_mature,
            customer_id = 'c2' as churned
        from features.customer_features where is_eligible;
    create table features.churn_outcomes as
        select as_of, customer_id, 'inactivity' as definition, lead as lead_days, 28 as horizon_days,
            as_of + lead + 28 as label_until, as_of + lead + 28 <= date '2025-04-01' as is_mature,
            if(as_of + lead + 28 <= date '2025-04-01', customer_id = 'c2', null) as churned
        from features.customer_features, (values (0), (30)) as leads(lead);
    create table retention.ledger as
        select 'c3' as customer_id, 'sent' as event, 'treated' as arm, date '2025-02-10' as as_of;
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
    return Warehouse(path=str(path))


def read(warehouse: Warehouse, **training: object) -> TrainingSet:
    policy = load_policy({"training": {"lead_days": [30], **training}})
    return read_training_set(warehouse, Company, policy, (), as_of=UNTIL, until=UNTIL)  # type: ignore[arg-type]


def test_a_target_ahead_is_known_where_its_window_is_over_and_nobody_was_treated_before_its_end(
    warehouse: Warehouse,
) -> None:
    rows = read(warehouse).rows.to_pylist()

    ahead = {(each["as_of"].month, each["customer_id"]): each["churned_after_30"] for each in rows}
    assert [ahead[month, "c2"] for month in (1, 2, 3)] == [True, True, None]
    assert [ahead[month, "c3"] for month in (1, 2, 3)] == [None, None, None]
    treated = {each["as_of"].month for each in rows if each["customer_id"] == "c3" and each["is_treated"]}
    assert treated == {2}


def test_groups_are_those_of_each_snapshot_and_the_first_condition_that_holds_counts(warehouse: Warehouse) -> None:
    rows = [each for each in read(warehouse).rows.to_pylist() if each["as_of"].month == 1]

    groups = {each["customer_id"]: each["customer_group"] for each in rows}
    assert (groups["c0"], groups["c1"], groups["c200"]) == ("company", "new customer", None)
    assert sum(group == "high value" for group in groups.values()) == 40
    assert groups["c398"] == "high value"


def test_beyond_the_most_rows_whole_customers_are_drawn_and_the_number_of_all_is_told(warehouse: Warehouse) -> None:
    found = read(warehouse, maximum_rows=1000)

    assert (found.known, read(warehouse).rows.num_rows) == (1197, 1197)
    assert 900 < found.rows.num_rows < 1100
    customers = found.rows.column("customer_id").to_pylist()
    assert {customers.count(each) for each in set(customers)} == {3}


def test_a_lead_time_that_the_company_declares_itself_is_not_declared_twice() -> None:
    policy = load_policy({"training": {"lead_days": [30, 60]}})

    assert [each.lead_days for each in declare_lead_times(Company, policy)] == [30, 60]  # type: ignore[arg-type]
