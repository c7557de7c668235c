"""Trends: a change of level is found and dated, chance makes none; a step of the funnel that loses more is a drop."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from retention.measuring.trends import FUNNEL_COLUMNS, TREND_COLUMNS, find_drops, find_trends

LATEST = date(2026, 2, 23)
RATE = 0.01


def make_weeks(counts: dict[str, np.ndarray], *, customers: int = 1_000) -> pd.DataFrame:
    """Weekly counts of logins per group, the oldest first."""
    return pd.DataFrame(
        {
            "measure": "logins", "group_name": group, "week_number": len(series) - 1 - place,
            "first_date": LATEST - timedelta(days=7 * (len(series) - 1 - place)),
            "count_customers": customers, "count_active": int(count),
        }
        for group, series in counts.items()
        for place, count in enumerate(series)
    )  # fmt: skip


def test_the_last_change_of_level_is_found_and_dated() -> None:
    rng = np.random.default_rng(0)
    once = rng.poisson(np.where(np.arange(26) < 20, 100, 60))
    twice = rng.poisson(np.select([np.arange(26) < 6, np.arange(26) < 18], [60, 140], 80))
    found = find_trends(make_weeks({"once": once, "twice": twice}), false_discovery_rate=RATE).set_index("group_name")
    assert found["is_change"].all()
    assert found.loc["once", "changed_on"] == LATEST - timedelta(days=35)
    assert found.loc["twice", "changed_on"] == LATEST - timedelta(days=49)
    assert found.loc["twice", ["rate_before", "rate_since"]].tolist() == pytest.approx([0.14, 0.08], abs=0.01)


def test_chance_makes_no_change_and_a_trend_has_its_slope() -> None:
    rng = np.random.default_rng(1)
    steady = {f"g{number:02d}": rng.poisson(50, 26) for number in range(40)}
    found = find_trends(make_weeks(steady), false_discovery_rate=RATE)
    assert found["is_change"].sum() == 0
    falling = make_weeks({"all": np.round(200 * 0.97 ** np.arange(26))})
    (row,) = find_trends(falling, false_discovery_rate=RATE).to_dict("records")
    assert row["slope"] == pytest.approx(-0.03, abs=0.005)


def test_short_or_empty_series_say_nothing() -> None:
    rare = make_weeks({"few": np.full(26, 3)}, customers=10)
    young = make_weeks({"young": np.full(8, 30)})
    found = find_trends(pd.concat([rare, young]), false_discovery_rate=RATE)
    assert (len(found), tuple(found.columns)) == (0, TREND_COLUMNS)


def test_a_step_that_loses_more_than_usual_is_a_drop_and_nothing_else_is() -> None:
    rng = np.random.default_rng(2)
    weeks = make_weeks({"north": np.zeros(12), "south": np.zeros(12)}).drop(columns=["measure", "count_active"])
    weeks = weeks.assign(step="put_in_cart", step_number=2, count_customers=400)
    share = np.where((weeks["week_number"] == 0) & (weeks["group_name"] == "north"), 0.3, 0.6)
    found = find_drops(weeks.assign(count_continued=rng.binomial(400, share)), false_discovery_rate=RATE)
    assert tuple(found.columns) == FUNNEL_COLUMNS
    assert found.loc[found["is_drop"], ["group_name", "first_date"]].to_numpy().tolist() == [["north", LATEST]]
    assert find_drops(weeks.assign(count_continued=1).iloc[:0], false_discovery_rate=RATE).empty


def test_a_week_in_which_nobody_reached_a_step_is_no_row_of_the_funnel() -> None:
    weeks = make_weeks({"north": np.zeros(12)}).drop(columns=["measure", "count_active"])
    reached = np.where(weeks["week_number"] == 3, 0, 400)
    weeks = weeks.assign(step="put_in_cart", step_number=2, count_customers=reached, count_continued=reached // 2)
    found = find_drops(weeks, false_discovery_rate=RATE)
    assert len(found) == len(weeks) - 1
    assert (found["share_continued"] == 0.5).all()
