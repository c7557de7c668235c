"""Those who left against those who stayed, and what is bought together: figures that pandas finds too."""

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from company.policy import load_policy

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF = "2017-12-01"
PROFILE = f"select * from customer_360.leaver_profile where as_of = '{AS_OF}'"
NAMES = ["recency_days", "amount_spent_90d", "count_open_complaints"]


def test_leavers_are_described_beside_stayers_on_the_last_matured_snapshot(lived: "Warehouse") -> None:
    found = lived.query(PROFILE + " and attribute_value is null")
    snapshots = lived.query(
        f"select churned, {', '.join(NAMES)} from features.customer_features "
        f"inner join features.churn_labels using (as_of, customer_id) where as_of = '{AS_OF}'"
    )
    left, stayed = snapshots[snapshots["churned"].astype(bool)], snapshots[~snapshots["churned"].astype(bool)]
    expected = pd.DataFrame(
        {
            "count_left": left[NAMES].count(),
            "mean_left": left[NAMES].mean(),
            "mean_stayed": stayed[NAMES].mean(),
            "median_stayed": stayed[NAMES].median(),
            "effect_size": (left[NAMES].mean() - stayed[NAMES].mean()) / pooled_deviation(left, stayed),
        }
    )
    rows = found.set_index("attribute_name").loc[NAMES, list(expected)].astype(float)
    pd.testing.assert_frame_equal(rows, expected.astype(float), check_names=False)


def pooled_deviation(left: pd.DataFrame, stayed: pd.DataFrame) -> pd.Series:
    squares = (len(left) - 1) * left[NAMES].var() + (len(stayed) - 1) * stayed[NAMES].var()
    return np.sqrt(squares / (len(left) + len(stayed) - 2))


def test_the_profile_says_both_sides_in_two_languages(lived: "Warehouse") -> None:
    row = lived.query(PROFILE + " and attribute_name = 'recency_days'").iloc[0]
    sides = [Decimal(row[name]).quantize(Decimal(1), ROUND_HALF_UP) for name in ("mean_left", "mean_stayed")]
    assert row["text_en"] == "left: no purchase for {} days; stayed: no purchase for {} days".format(*sides)
    assert row["text_zh"] == "流失:{}天未购买;留存:{}天未购买".format(*sides)


def test_rules_are_pairs_of_categories_of_the_year_before_the_month(lived: "Warehouse") -> None:
    asked = load_policy().product_rules
    days = lived.query(
        "select distinct customer_id, order_date, category from intermediate.int_customer_category_days "
        f"where order_date < date '{AS_OF}' and order_date >= date '{AS_OF}' - 365"
    )
    holds = pd.crosstab([days["customer_id"], days["order_date"]], days["category"]).clip(upper=1)
    together = holds.T @ holds
    support, alone = together / len(holds), np.diag(together)
    confidence = together.div(alone, axis=0)
    lift = confidence.div(alone / len(holds), axis=1)
    kept = (support >= asked.minimum_support) & (confidence >= asked.minimum_confidence) & (lift >= asked.minimum_lift)
    expected = {(a, b): lift.loc[a, b] for a in lift for b in lift if a != b and kept.loc[a, b]}
    found = lived.query(f"select * from customer_360.product_rules where as_of = '{AS_OF}'")
    rules = {(row.bought_category, row.suggested_category): row.lift for row in found.itertuples()}
    assert rules.keys() == expected.keys()
    assert len(rules) > 0
    assert all(np.isclose(rules[pair], expected[pair]) for pair in rules)
