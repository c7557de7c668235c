"""What happened afterwards: labels wait for their window, outcomes follow the ledger."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

ZONE = "America/New_York"


def purchase_days(company: Mapping) -> pd.DataFrame:
    orders = pd.concat(tables["orders"] for tables in company.values())
    orders = orders[~orders["status"].isin(["failed", "cancelled"])]
    local = orders["ordered_at"].dt.tz_localize("UTC").dt.tz_convert(ZONE).dt.tz_localize(None).dt.normalize()
    return pd.DataFrame({"customer_id": orders["customer_id"], "day": local, "amount": orders["amount"]})


def expected_labels(days: pd.DataFrame, as_of: str) -> pd.DataFrame:
    day = pd.Timestamp(as_of)
    before = days[(days["day"] < day) & (days["day"] >= day - pd.Timedelta(days=60))]
    after = days[(days["day"] >= day) & (days["day"] < day + pd.Timedelta(days=30))]
    who = sorted(before["customer_id"].unique())
    return pd.DataFrame({"customer_id": who, "churned": [one not in set(after["customer_id"]) for one in who]})


def test_labels_say_who_of_the_recent_buyers_bought_nothing_in_the_window(lived: "Warehouse", company: Mapping) -> None:
    days = purchase_days(company)
    for as_of in ("2017-07-01", "2017-10-01"):
        found = lived.query(
            f"select customer_id, churned from features.churn_labels where as_of = '{as_of}' order by customer_id"
        ).astype({"churned": bool})
        pd.testing.assert_frame_equal(found, expected_labels(days, as_of))


def test_a_label_is_unknown_until_its_window_is_over(lived: "Warehouse") -> None:
    found = lived.query(
        "select cast(as_of as varchar) as as_of, cast(label_until as varchar) as until, is_mature, "
        "count(churned) > 0 as is_known from features.churn_labels group by all order by 1"
    )
    assert found.to_numpy().tolist() == [
        ["2017-07-01", "2017-07-31", True, True],
        ["2017-10-01", "2017-10-31", True, True],
        ["2017-12-01", "2017-12-31", True, True],
    ]


def test_a_label_stays_unknown_while_the_data_end_before_its_window(truncated: "Warehouse") -> None:
    found = truncated.query(
        "select bool_or(is_mature) as is_mature, count(churned) as known from features.churn_labels"
    )
    assert found.to_numpy().tolist() == [[False, 0]]


def test_outcomes_hold_one_row_per_decision_with_what_the_customer_spent(lived: "Warehouse", company: Mapping) -> None:
    days = purchase_days(company)

    def spent(customer: str, first: str) -> float:
        after = days[(days["customer_id"] == customer) & (days["day"] >= first)]
        return float(after[after["day"] < pd.Timestamp(first) + pd.Timedelta(days=30)]["amount"].sum().round(2))

    found = lived.query(
        "select entry_id, arm, is_sent, is_mature, amount_spent_after "
        "from outcomes.treatment_outcomes order by entry_id"
    )
    assert found.to_numpy().tolist() == [
        ["1", "treated", True, True, spent("g00001", "2017-10-01")],
        ["2", "holdout", False, True, spent("g00002", "2017-10-01")],
        ["4", "treated", False, True, spent("g00001", "2017-12-01")],
    ]
