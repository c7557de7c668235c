from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import month_starts
from ml.forecasting.churn_rate import ForecastError, forecast_churn_rate, forecast_groups


def history(rates: np.ndarray, seed: int = 0) -> tuple[list[date], np.ndarray, np.ndarray]:
    months = list(month_starts(date(2020, 1, 1), date(2029, 12, 1)))[: len(rates)]
    size = np.full(len(rates), 2000.0)
    return months, size, np.random.default_rng(seed).binomial(2000, rates).astype(float)


def test_a_steady_rate_is_forecast_to_stay_and_its_interval_holds_it() -> None:
    found = forecast_churn_rate(*history(np.full(18, 0.12)), ahead=3)

    assert [each.month for each in found] == [date(2021, 7, 1), date(2021, 8, 1), date(2021, 9, 1)]
    assert all(each.low < 0.12 < each.high for each in found)
    assert all(abs(each.rate - 0.12) < 0.015 for each in found)


def test_the_interval_widens_with_distance() -> None:
    widths = [each.high - each.low for each in forecast_churn_rate(*history(np.full(18, 0.12)), ahead=3)]

    assert 1.6 * widths[0] < widths[2] < 1.9 * widths[0]


def test_a_rising_rate_is_forecast_above_its_mean() -> None:
    rates = np.linspace(0.08, 0.20, 18)

    assert forecast_churn_rate(*history(rates))[0].rate > 0.18


def test_a_season_seen_three_times_is_expected_again() -> None:
    rates = np.tile(np.array([0.10] * 11 + [0.25]), 4)[:47]

    found = forecast_churn_rate(*history(rates), ahead=2)

    assert found[0].month.month == 12
    assert found[0].rate > 0.15 > found[1].rate


def test_an_80_percent_interval_holds_about_80_percent_of_what_came() -> None:
    held = []
    for seed in range(60):
        months, size, churned = history(np.full(19, 0.12), seed)
        found = forecast_churn_rate(months[:18], size[:18], churned[:18], ahead=1)[0]
        held.append(found.low <= churned[18] / size[18] <= found.high)

    assert 0.65 <= np.mean(held) <= 0.95


def test_five_months_are_too_few() -> None:
    with pytest.raises(ForecastError, match="5 months of churn rates are known, 6 are needed"):
        forecast_churn_rate(*history(np.full(5, 0.12)))


def test_groups_are_forecast_side_by_side_with_the_industry_line_and_the_short_one_says_why() -> None:
    months, size, lost = history(np.full(18, 0.12))
    table = pa.table(
        {
            "group": ["retail"] * 18 + ["new"] * 2,
            "month": [*months, *months[:2]],
            "customers": [*size, 100.0, 0.0],
            "churned": [*lost, 10.0, 0.0],
        }
    )

    found = forecast_groups(table, line=0.08, ahead=2)

    rows = found.table.to_pylist()
    coming = forecast_churn_rate(months, size, lost, ahead=2)
    assert found.unknown == {"new": "2 months of churn rates are known, 6 are needed to forecast any."}
    assert [(row["group"], row["is_forecast"]) for row in rows] == [
        *[("new", False)] * 2, *[("retail", False)] * 18, *[("retail", True)] * 2,
    ]  # fmt: skip
    assert [(row["month"], row["rate"], row["low"], row["high"]) for row in rows[-2:]] == [
        (each.month, each.rate, each.low, each.high) for each in coming
    ]
    assert all(row["industry_line"] == 0.08 and row["chance_above_line"] > 0.95 for row in rows[2:])
    assert (rows[0]["low"], rows[0]["rate"], rows[0]["high"]) == (
        pytest.approx(0.06778, abs=1e-5), 0.1, pytest.approx(0.14514, abs=1e-5)
    )  # fmt: skip
    assert (rows[1]["rate"], rows[1]["chance_above_line"]) == (None, None)


def test_without_an_industry_line_nothing_is_compared() -> None:
    months, size, lost = history(np.full(8, 0.12))
    table = pa.table({"group": ["all"] * 8, "month": months, "customers": size, "churned": lost})

    found = forecast_groups(table).table

    assert found.column("industry_line").null_count == found.column("chance_above_line").null_count == 11
