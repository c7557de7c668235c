"""The customer view: scores by rank, value by the formula, stages by the policy, tags with their history."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from company.policy import Policy, load_policy

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse


TAGS = "select * from customer_360.customer_tags order by customer_id, tag"
COMPILED = "dbt/target/compiled/holdfast/models/customer_360/customer_tags.sql"


def view(warehouse: "Warehouse") -> pd.DataFrame:
    return warehouse.query("select * from customer_360.customers order by customer_id").set_index("customer_id")


def quintile(values: pd.Series, *, ascending: bool = True) -> pd.Series:
    """Score 1 to 5: one more for each cut point below the value, half of one for each that equals it."""
    measure = values if ascending else -values
    cut_points = np.quantile(measure, [0.2, 0.4, 0.6, 0.8], method="inverted_cdf")
    column = measure.to_numpy()[:, None]
    above = ((column > cut_points) / 2 + (column >= cut_points) / 2).sum(axis=1)
    return pd.Series(np.floor(1 + above).astype("int64"), index=values.index)


def test_each_score_is_the_quintile_among_those_who_bought(lived: "Warehouse") -> None:
    buyers = view(lived).dropna(subset="recency_days")
    expected = pd.DataFrame(
        {
            "rfm_recency": quintile(buyers["recency_days"], ascending=False),
            "rfm_frequency": quintile(buyers["count_orders_year"]),
            "rfm_monetary": quintile(buyers["amount_spent_total"]),
        }
    )
    pd.testing.assert_frame_equal(buyers[list(expected)], expected)


def test_who_never_bought_has_the_lowest_scores(lived: "Warehouse") -> None:
    others = view(lived).query("recency_days.isna()")
    scores = others[["rfm_recency", "rfm_frequency", "rfm_monetary"]].to_numpy()
    assert len(others) > 0
    assert set(scores.ravel()) == {1}


def test_grades_follow_the_weights_and_cutpoints_of_the_policy(lived: "Warehouse") -> None:
    rfm, customers = load_policy().rfm.model_dump(), view(lived)
    score = sum(weight * customers[f"rfm_{name}"] for name, weight in rfm["weights"].items())
    expected = score.map(
        lambda one: next((grade for grade, least in rfm["grades"].items() if one >= least - 1e-9), "E")
    )
    assert customers["rfm_grade"].tolist() == expected.tolist()


def expect_yearly_orders(customers: pd.DataFrame, policy: Policy) -> pd.Series:
    """The orders of a year at the own pace, drawn to the modest one by what of the year was not seen."""
    observed = customers["tenure_days"].fillna(0).clip(upper=365)
    own = customers["amount_spent_year"]
    settled = customers["lifecycle_stage"].isin(["new", "active"]) & (observed > policy.lifecycle.new_days)
    modest = (own * 365 / observed)[settled & (own > 0)].quantile(0.25)
    prior = policy.clv.prior_days * (1 - observed / 365)
    return (365 * own + prior * modest) / (observed + prior)


def test_the_value_from_now_is_the_margin_of_the_years_to_come_less_the_cost_of_tickets(lived: "Warehouse") -> None:
    policy, customers = load_policy(), view(lived)
    is_customer = customers["lifecycle_stage"].isin(["new", "active"])
    buyers = customers[is_customer & customers["first_order_date"].notna()]
    years = lived.query(
        "select years_expected from customer_360.lifetimes where as_of = date '2017-12-01' order by is_returned"
    )["years_expected"]
    yearly = expect_yearly_orders(customers, policy)[buyers.index] + 12 * buyers["amount_monthly"]
    tickets = policy.clv.cost_per_ticket * buyers["count_tickets_half_year"] * 365 / 180
    expected = (yearly * policy.clv.gross_margin - tickets) * years[0]
    pd.testing.assert_series_equal(buyers["value_from_now"], expected, check_names=False)
    assert buyers["count_tickets_half_year"].sum() > 0
    away = customers[~is_customer & customers["first_order_date"].notna()]
    assert set(away["years_expected"]) == {years[1]}
    is_served_first = customers["value_from_now"] > customers["acquisition_cost"]
    assert (customers["clv_verdict"] == "serve_first").tolist() == is_served_first.tolist()
    assert set(customers["clv_verdict"]) == {"serve_first", "cut_service_cost"}


def test_a_lifetime_is_the_years_lived_for_each_customer_lost_and_ends_before_its_month(lived: "Warehouse") -> None:
    policy = load_policy()
    days = lived.query(
        "select distinct customer_id, order_date from intermediate.int_customer_order_days order by 1, 2"
    )
    found = lived.query("select * from customer_360.lifetimes").set_index(["as_of", "is_returned"])
    for month in ("2017-08-01", "2017-12-01"):
        years, lost = live_through(days[days["order_date"] < month], pd.Timestamp(month), policy)
        for is_returned, lifetime in ((False, policy.clv.lifetime_years), (True, policy.clv.returned_lifetime_years)):
            prior = policy.clv.prior_leavers
            measured = (years[is_returned] + prior * lifetime) / (lost[is_returned] + prior)
            row = found.loc[pd.Timestamp(month), is_returned]
            assert row["count_lost"] == lost[is_returned]
            assert row[["customer_years", "measured_years"]].tolist() == pytest.approx([years[is_returned], measured])


def live_through(days: pd.DataFrame, month: pd.Timestamp, policy: Policy) -> tuple[dict[bool, float], dict[bool, int]]:
    """The years that customers were active, and how many were lost, within the year that is known by the month."""
    active, away = policy.lifecycle.active_days, policy.lifecycle.dormant_days - policy.lifecycle.active_days
    until = month - pd.Timedelta(days=away)
    since = until - pd.Timedelta(days=365)
    years, lost = {False: 0.0, True: 0.0}, {False: 0, True: 0}
    for _, bought in days.groupby("customer_id")["order_date"]:
        is_returned = False
        for day, following in zip(bought, [*bought[1:], None], strict=True):
            end = day + pd.Timedelta(days=active)
            goes_on = following is not None and following <= end
            spell_end = min(following if goes_on else end, until)
            years[is_returned] += max((spell_end - max(day, since)).days, 0) / 365
            if not goes_on and since <= end < until:
                lost[is_returned] += ((following if following is not None else month) - end).days >= away
            is_returned |= not goes_on
    return years, lost


def test_tiers_hold_the_shares_of_the_policy_from_the_top(lived: "Warehouse") -> None:
    customers = view(lived).sort_values("value_from_now", ascending=False)
    shares = customers["value_tier"].value_counts(normalize=True)
    assert abs(shares["platinum"] - 0.10) < 0.02
    assert abs(shares["gold"] - 0.30) < 0.02
    assert customers["value_tier"].map({"platinum": 0, "gold": 1, "normal": 2}).is_monotonic_increasing


def test_the_stage_of_today_is_the_stage_at_the_end_of_yesterday(lived: "Warehouse") -> None:
    differing = lived.query(
        "select customer_id from customer_360.customers inner join customer_360.customer_days using (customer_id) "
        "where day_date = date '2017-11-30' and count_subscriptions = 0 "
        "and customers.lifecycle_stage <> customer_days.lifecycle_stage"
    )
    stages = lived.query("select distinct lifecycle_stage as stage from customer_360.customer_days")
    assert differing.empty
    assert set(stages["stage"]) == {"new", "active", "dormant", "churned"}


def test_the_stage_of_every_day_follows_the_days_of_the_policy(lived: "Warehouse") -> None:
    lifecycle = load_policy().lifecycle
    days = lived.query("select * from customer_360.customer_days where days_since_order is not null")
    first = days[days["count_orders"] > 0].groupby("customer_id")["day_date"].min()
    age = (days["day_date"] - days["customer_id"].map(first)).dt.days + 1
    recency = days["days_since_order"] + 1
    expected = np.select(
        [age <= lifecycle.new_days, recency <= lifecycle.active_days, recency <= lifecycle.dormant_days],
        ["new", "active", "dormant"],
        "churned",
    )
    assert (days["lifecycle_stage"] == expected).all()


def test_a_tag_is_held_since_the_first_run_of_its_present_spell(lived: "Warehouse") -> None:
    history = lived.query("select as_of, customer_id, tags from customer_360.customer_history")
    held = {(str(row.as_of)[:10], row.customer_id, tag) for row in history.itertuples() for tag in row.tags.split(",")}
    now = sorted((customer, tag) for day, customer, tag in held if day == "2017-12-01" and tag)
    expected = [
        [customer, tag, "2017-10-01" if ("2017-10-01", customer, tag) in held else "2017-12-01"]
        for customer, tag in now
    ]
    found = lived.query(
        "select customer_id, tag, cast(held_since as varchar) from customer_360.customer_tags order by 1, 2"
    )
    assert found.to_numpy().tolist() == expected
    assert {row[2] for row in expected} == {"2017-10-01", "2017-12-01"}


def test_tags_are_the_same_whether_carried_on_from_the_run_before_or_read_from_all_history(
    lived: "Warehouse", run_again: "Warehouse"
) -> None:
    pd.testing.assert_frame_equal(lived.query(TAGS), run_again.query(TAGS), check_exact=True)
    # a tag table of the day itself says nothing of the run before
    statements = [(warehouse.home / COMPILED).read_text() for warehouse in (lived, run_again)]
    assert ["customer_360.customer_tags" in sql.replace('"', "") for sql in statements] == [True, False]


def test_the_trend_of_value_is_a_quarter_against_the_one_before(lived: "Warehouse") -> None:
    share, customers = load_policy().value_trend.change, view(lived)
    now, before = customers["amount_spent_quarter"], customers["amount_spent_quarter_before"]
    rising, falling = (now > (1 + share) * before), (now < (1 - share) * before)
    assert customers["value_trend"].tolist() == np.select([rising, falling], ["rising", "falling"], "steady").tolist()
    assert set(customers["value_trend"]) == {"rising", "falling", "steady"}


def test_the_driver_of_value_is_what_stands_highest_above_the_typical_buyer(lived: "Warehouse") -> None:
    customers = view(lived)
    buyers = customers[customers["count_orders_year"] > 0]
    orders = buyers["count_orders_year"] / buyers["count_orders_year"].median()
    baskets = buyers["amount_spent_year"] / buyers["count_orders_year"]
    basket = baskets / baskets.median()
    pd.testing.assert_series_equal(buyers["orders_to_typical"], orders, check_names=False)
    pd.testing.assert_series_equal(buyers["basket_to_typical"], basket, check_names=False)
    by_trade = np.where(orders >= basket, "orders", "basket")
    ours = buyers["value_driver"] != "contracts"
    assert buyers["value_driver"][ours].tolist() == by_trade[ours].tolist()
    assert set(customers["value_driver"]) >= {"orders", "basket", "contracts"}


def test_drivers_sum_to_the_difference_from_the_typical_value(lived: "Warehouse") -> None:
    rows = lived.query("select * from customer_360.value_drivers")
    margin = load_policy().clv.gross_margin
    figures = rows.pivot_table(index="customer_id", columns="driver", values=["own_figure", "typical_figure"])
    typical = figures["typical_figure"].fillna(dict.fromkeys(("fee", "frequency", "basket", "discount"), 1.0))
    product = typical[["fee", "frequency", "basket", "discount", "tenure"]].prod(axis=1)
    middle = margin * product - typical["cost_to_serve"]
    values = lived.query("select customer_id, value_from_now from customer_360.customers").set_index("customer_id")
    expected = values["value_from_now"].reindex(middle.index) - middle
    found = rows.groupby("customer_id")["contribution"].sum()
    pd.testing.assert_series_equal(found, expected, check_names=False, rtol=1e-6)
    assert set(rows["driver"]) == {"fee", "frequency", "basket", "discount", "tenure", "cost_to_serve"}


def test_groups_of_leavers_are_counted_by_two_or_three_things(lived: "Warehouse") -> None:
    rows = lived.query("select * from customer_360.leaver_groups")
    assert set(rows["dimensions"].str.count(",")) <= {1, 2}
    assert (rows["churn_rate"] > rows["all_rate"]).all()
