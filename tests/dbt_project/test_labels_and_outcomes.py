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


def moment_of(day: str) -> pd.Timestamp:
    return pd.Timestamp(day, tz=ZONE).tz_convert("UTC").tz_localize(None)


def outcomes_of(lived: "Warehouse", definition: str, as_of: str) -> dict[str, bool]:
    found = lived.query(
        "select customer_id, churned from features.churn_outcomes "
        f"where definition = '{definition}' and as_of = '{as_of}' order by customer_id"
    )
    return dict(zip(found["customer_id"], found["churned"], strict=True))


def test_the_main_definition_stands_among_the_outcomes_as_the_label_it_is(lived: "Warehouse") -> None:
    names = "as_of, customer_id, label_from, label_until, is_mature, churned"
    labels = lived.query(f"select {names} from features.churn_labels order by all")
    assert len(labels) > 0
    pd.testing.assert_frame_equal(
        lived.query(f"select {names} from features.churn_outcomes where is_main order by all"), labels
    )


def test_spend_falls_where_a_window_brings_no_more_than_the_share_of_what_as_many_days_brought_before(
    lived: "Warehouse", company: Mapping
) -> None:
    days, as_of = purchase_days(company), pd.Timestamp("2017-07-01")
    days["amount"] = days["amount"].fillna(0)
    ago = (as_of - days["day"]).dt.days
    recent = set(days[(ago > 0) & (ago <= 40)]["customer_id"])
    before = days[(ago > 0) & (ago <= 60)].groupby("customer_id")["amount"].sum()
    after = days[(ago <= -7) & (ago > -67)].groupby("customer_id")["amount"].sum()
    expected = {
        who: bool(round(after.get(who, 0), 2) <= round(0.5 * spent, 4))
        for who, spent in sorted(before.items())
        if spent > 0 and who in recent
    }
    assert outcomes_of(lived, "spend_fall", "2017-07-01") == expected
    assert set(expected.values()) == {True, False}


def test_a_contract_that_runs_out_ends_the_contract_and_only_notice_closes_the_account(
    lived: "Warehouse", company: Mapping
) -> None:
    contracts = company["raw_generated"]["subscriptions"]
    as_of, until = (moment_of(day) for day in ("2017-12-01", "2017-12-31"))

    def open_at(moment: pd.Timestamp) -> set[str]:
        left = contracts["cancelled_at"]
        return set(contracts[(contracts["started_at"] < moment) & (left.isna() | (left >= moment))]["customer_id"])

    expected = {who: who not in open_at(until) for who in sorted(open_at(as_of))}
    assert outcomes_of(lived, "account_closed", "2017-12-01") == expected
    runs_out = contracts["renews_at"].between(as_of, until) & ~contracts["is_auto_renewing"]
    (who,) = set(contracts[runs_out & contracts["cancelled_at"].isna()]["customer_id"])
    assert (outcomes_of(lived, "contract_end", "2017-12-01")[who], expected[who]) == (True, False)
