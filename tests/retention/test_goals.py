import pandas as pd
import pytest

from company.policy.measuring import Goals
from retention.measuring.goals import Sums, compare_with_goals, fall_of_rate, measure_yearly_churn, rise_of_mean

GOALS = Goals(churn_fall=0.2, value_rise=0.15)
MONTHS = pd.DataFrame({"customers": [4000, 4000, 4000], "churned": [400, 400, 400], "is_before": [True, True, False]})


def _sums(known: int, left: int, value: float = 100.0) -> Sums:
    """Sums of decisions whose values are spread evenly from nothing to twice their mean."""
    return Sums(known=known, left=left, valued=known, value=value * known, value_squared=4 / 3 * value**2 * known)


def _states(treated: Sums, held_out: Sums) -> dict[tuple[str, str], str]:
    found = compare_with_goals(treated, held_out, MONTHS, goals=GOALS, confidence=0.95)
    return {(row["goal"], row["against"]): row["state"] for row in found.to_dict("records")}


def test_a_goal_is_reached_missed_or_open_by_the_whole_interval() -> None:
    assert _states(_sums(9000, 900, 150), _sums(9000, 1800)) == {
        ("churn_fall", "held_out"): "reached",
        ("churn_fall", "before"): "missed",
        ("value_rise", "held_out"): "reached",
    }
    assert _states(_sums(90, 9, 118), _sums(90, 12))["churn_fall", "held_out"] == "open"


def test_a_comparison_without_the_other_arm_is_open_and_has_no_figure() -> None:
    found = compare_with_goals(_sums(90, 9), _sums(0, 0), MONTHS, goals=GOALS, confidence=0.95)
    assert found["value"].isna().tolist() == [True, False, True]
    assert found["state"].iloc[[0, 2]].tolist() == ["open", "open"]


def test_a_fall_is_a_share_of_the_rate_it_is_compared_with() -> None:
    # exp(1.95996 x sqrt(1/10 - 1/100 + 1/20 - 1/100)) = 2.0272
    found = fall_of_rate((10, 100), (20, 100), confidence=0.95)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 1 - 0.5 * 2.0272, 1 - 0.5 / 2.0272), abs=1e-3)


def test_a_rise_of_a_mean_holds_the_truth_in_its_interval() -> None:
    found = rise_of_mean(_sums(400, 0, 120), _sums(400, 0, 100), confidence=0.95)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.2 < found.high
    assert found.value == pytest.approx(0.2)


def test_the_yearly_churn_is_that_of_losses_per_year_lived() -> None:
    found = measure_yearly_churn(20, 100, confidence=0.95)
    assert found.value == pytest.approx(0.1813, abs=1e-4)
    # Garwood's interval of a count of 20: 12.22 to 30.89
    assert (found.low, found.high) == pytest.approx((0.1150, 0.2657), abs=2e-4)


def test_no_loss_in_some_years_leaves_room_for_a_rate_and_no_year_leaves_it_unknown() -> None:
    assert measure_yearly_churn(0, 100, confidence=0.95).high == pytest.approx(0.0362, abs=1e-4)
    assert measure_yearly_churn(0, 0, confidence=0.95).value is None
