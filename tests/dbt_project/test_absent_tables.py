"""A table that nobody connects is absent downstream: its features are unknown, and nothing else changes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from dbt_project.library import load_library

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF = "2017-12-01"


def unknown_features(warehouse: "Warehouse") -> set[str]:
    features = warehouse.query("select * from features.customer_features")
    assert len(features) > 0
    return {column for column in features if features[column].isna().all()}


def features_beyond(*tables: str) -> set[str]:
    return {feature.name for feature in load_library().features if not set(feature.needs) <= {*tables}}


def test_without_a_table_exactly_its_features_are_unknown(without_subscriptions: "Warehouse") -> None:
    assert unknown_features(without_subscriptions) == features_beyond("customers", "orders")


def test_a_company_of_contracts_alone_has_the_features_of_contracts(without_orders: "Warehouse") -> None:
    of_anything_done = {"shortfall_largest"}  # by whichever tables are there: here none has what customers do
    assert unknown_features(without_orders) == features_beyond("customers", "subscriptions") | of_anything_done


def test_features_of_a_table_do_not_depend_on_the_tables_beside_it(
    without_subscriptions: "Warehouse", lived: "Warehouse"
) -> None:
    names = [feature.name for feature in load_library().features if feature.needs == ("orders",)]
    rows = f"select customer_id, {', '.join(names)} from features.customer_features where as_of = '{AS_OF}'"
    alone, beside = (
        warehouse.query(f"{rows} and customer_id like 'g%' order by customer_id")
        for warehouse in (without_subscriptions, lived)
    )
    beside = beside[beside["customer_id"].isin(alone["customer_id"])].reset_index(drop=True)
    # rest on tenure and on all other customers
    elsewhere = {"chance_of_silence", "change_orders_30d_seasonal", "share_orders_of_usual"}
    elsewhere |= {name for name in names if name.startswith("shortfall_")}
    unrelated = [name for name in names if name not in elsewhere]
    pd.testing.assert_frame_equal(alone[unrelated], beside[unrelated], check_exact=True)


def test_contracts_end_by_notice_or_by_running_out(without_orders: "Warehouse", company: Mapping) -> None:
    contracts = company["raw_generated"]["subscriptions"]
    runs_out = contracts["renews_at"].where(~contracts["is_auto_renewing"])
    ended = contracts["cancelled_at"].fillna(runs_out)
    until = pd.Timestamp("2018-01-07", tz="America/New_York").tz_convert("UTC").tz_localize(None)
    as_of = pd.Timestamp(AS_OF, tz="America/New_York").tz_convert("UTC").tz_localize(None)
    running = contracts[(contracts["started_at"] < as_of) & (ended.isna() | (ended >= as_of))]
    kept = contracts[(contracts["started_at"] < until) & (ended.isna() | (ended >= until))]
    expected = [[one, one not in set(kept["customer_id"])] for one in sorted(set(running["customer_id"]))]
    found = without_orders.query(
        f"select customer_id, churned from features.churn_labels where as_of = '{AS_OF}' order by customer_id"
    )
    assert found.to_numpy().tolist() == expected


def test_the_value_rests_on_contracts_where_there_are_no_orders(without_orders: "Warehouse") -> None:
    found = without_orders.query(
        "select max(abs(yearly_revenue_expected - 12 * amount_monthly)) as gap from customer_360.customers "
        "where amount_monthly > 0"
    )
    assert found["gap"].tolist() == [0.0]
