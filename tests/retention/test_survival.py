"""How long customers stay: the product-limit estimate, and cohorts."""

from datetime import date

import pandas as pd
import pytest

from retention.measuring.survival import describe_cohorts, estimate_survival

COLUMNS = ["group_name", "tenure_month", "count_at_risk", "count_lost"]


def make_counts(*months: tuple[int, int]) -> pd.DataFrame:
    rows = [("all", number, at_risk, lost) for number, (at_risk, lost) in enumerate(months)]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_survival_is_the_product_of_the_months_with_the_interval_of_a_known_example() -> None:
    counts = make_counts((21, 3), (17, 1), (15, 2))  # of Freireich's trial, whose months are those of its events
    curve = estimate_survival(counts, confidence=0.95, fewest=2)
    share = 18 / 21 * 16 / 17 * 13 / 15
    assert curve["value"].tolist() == pytest.approx([1, 18 / 21, 18 / 21 * 16 / 17, share])
    assert curve[["low", "high"]].iloc[1].tolist() == pytest.approx([0.6197, 0.9516], abs=1e-4)  # printed in textbooks
    assert curve["months"].tolist() == [0, 1, 2, 3]


def test_a_curve_ends_before_too_few_are_left_and_says_nothing_of_a_month_that_is_not_known() -> None:
    thin = estimate_survival(make_counts((40, 4), (30, 3), (9, 1)), confidence=0.95, fewest=20)
    gap = make_counts((40, 4), (30, 3), (25, 1)).drop(index=1)
    assert thin["months"].tolist() == [0, 1, 2]
    assert estimate_survival(gap, confidence=0.95, fewest=20)["months"].tolist() == [0, 1]
    assert estimate_survival(make_counts(), confidence=0.95, fewest=20).empty


def test_a_month_in_which_nobody_is_left_ends_at_nothing_with_an_interval() -> None:
    last = estimate_survival(make_counts((40, 10), (30, 30), (30, 1)), confidence=0.95, fewest=20).iloc[-1]
    assert (last["months"], last["value"], last["low"]) == (2, 0, 0)
    assert 0 < last["high"] < 0.75


def test_a_small_cohort_has_counts_and_no_share() -> None:
    rows = [("all", date(2024, 1, 1), 0, False, 40, 30), ("all", date(2024, 2, 1), 0, False, 19, 10)]
    names = ["group_name", "cohort_month", "months_since", "holds_earlier", "count_joined", "count_active"]
    large, small = describe_cohorts(pd.DataFrame(rows, columns=names), confidence=0.95, fewest=20).to_dict("records")
    assert (large["value"], small["count_active"]) == (0.75, 10)
    assert large["low"] < 0.75 < large["high"]
    assert pd.isna(small["value"])
    assert pd.isna(small["low"])
