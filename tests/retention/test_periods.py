from datetime import date

import pandas as pd
import pytest

from retention.measuring.periods import COLUMNS, compare_periods

KEY = {"period": "month", "period_start": date(2024, 5, 1), "strategy_id": "all", "effect_group": "all"}
TREATED = KEY | {
    "arm": "treated", "count_decisions": 100, "count_sent": 80, "count_treated": 78, "count_opened": 40,
    "count_used": 8, "amount_cost": 12.0, "count_known": 70, "count_retained": 56, "count_repurchased": 50,
    "amount_spent": 700.0,
    "amount_spent_squared": 7700.0, "count_valued": 70, "value_12_months": 1400.0, "value_12_months_squared": 30000.0,
    "count_value_measured": 35,
}  # fmt: skip
HELD_OUT = TREATED | {
    "arm": "holdout", "count_decisions": 90, "count_known": 80, "count_retained": 48, "count_repurchased": 40,
    "amount_spent": 640.0, "amount_spent_squared": 6000.0, "count_valued": 80, "value_12_months": 1200.0,
    "value_12_months_squared": 20000.0,
}  # fmt: skip


def _compare(*rows: dict[str, object]) -> dict[str, object]:
    found = compare_periods(pd.DataFrame(rows), confidence=0.95)
    assert list(found.columns) == list(COLUMNS)
    return dict(found.iloc[0])


def test_a_period_sets_the_treated_next_to_the_held_out() -> None:
    row = _compare(TREATED, HELD_OUT)
    # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, example (a): 56/70 - 48/80, method 10
    names = ("retained_difference", "retained_low", "retained_high")
    assert [row[name] for name in names] == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)
    assert [row[name] for name in ("share_opened", "share_used", "share_value_measured")] == [0.5, 0.1, 0.5]
    variance = (7700 / 70 - 10**2) / 69 + (6000 / 80 - 8**2) / 79
    assert (row["spent_difference"], row["spent_low"]) == pytest.approx((2.0, 2.0 - 1.95996 * variance**0.5), abs=1e-4)


def test_a_period_without_the_held_out_shows_its_own_figures_and_no_difference() -> None:
    row = _compare(TREATED)
    assert (row["retained_treated"], row["count_holdout"]) == (0.8, 0)
    assert pd.isna([row["retained_difference"], row["spent_difference"], row["value_low"]]).all()
