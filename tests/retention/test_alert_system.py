"""The alert system, assessed: worked out by hand on a few alerts."""

from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from retention.measuring.alert_system import assess_alerts

COSTS = {"high": 4.0, "low": 0.01}
NINE = datetime(2026, 1, 12, 9)  # noqa: DTZ001 - as the warehouse keeps moments
GAPS: dict[str, Any] = {
    "answered_at": pd.NaT, "sent_at": pd.NaT, "is_missed": False, "is_folded": False, "feedback": None, "arm": "none",
    "is_treated": False, "churned": None, "days_ahead": None, "value_12_months": None, "is_replay": False,
}  # fmt: skip


def make_alerts(*about: dict[str, Any], level: str = "high", day: date = date(2026, 1, 12)) -> pd.DataFrame:
    base = {**GAPS, "as_of": day, "level": level, "raised_at": NINE}
    return pd.DataFrame([{**base, "customer_id": f"c{place}", **each} for place, each in enumerate(about)])


def assess(alerts: pd.DataFrame, *, period: str = "month", level: str = "all") -> dict[str, Any]:
    found = assess_alerts(alerts, COSTS, confidence=0.95)
    (row,) = found.loc[found["period"].eq(period) & found["level"].eq(level)].to_dict("records")
    return row


def hours(count: float) -> datetime:
    return NINE + timedelta(hours=count)


def test_precision_counts_the_untreated_whose_window_is_over() -> None:
    left, stayed = {"churned": True, "days_ahead": 20}, {"churned": False}
    treated = {"churned": True, "is_treated": True, "days_ahead": 10}
    row = assess(make_alerts(left, left, stayed, {}, treated))
    assert (row["count_raised"], row["count_untreated"], row["count_left"], row["days_ahead"]) == (5, 3, 2, 20)
    assert (row["precision"], row["precision_low"], row["precision_high"]) == pytest.approx(
        (2 / 3, 0.2077, 0.9385), abs=1e-4
    )


def test_the_first_thing_done_is_an_answer_or_the_message_and_only_answers_cost() -> None:
    alerts = make_alerts(
        {"answered_at": hours(2), "sent_at": hours(1), "feedback": "useful"},
        {"answered_at": hours(4), "sent_at": hours(-1), "feedback": "wrong", "is_missed": True},
        {"sent_at": hours(9)},
        {"answered_at": hours(1000), "is_replay": True},
        {"answered_at": hours(50), "is_folded": True},
    )
    row = assess(alerts)
    assert (row["hours_to_answer"], row["hours_to_action"]) == (3, 4)
    assert (row["count_raised"], row["count_answered"], row["count_missed"]) == (4, 3, 1)
    assert (row["handling_cost"], row["share_useful"]) == (12.0, 0.5)


def test_the_benefit_is_that_of_the_treated_against_the_held_out() -> None:
    treated = [{"arm": "treated", "value_12_months": value} for value in (90.0, 110.0, 100.0, 100.0)]
    held_out = [{"arm": "holdout", "value_12_months": value} for value in (50.0, 70.0)]
    row = assess(make_alerts(*treated, *held_out, {"arm": "treated"}))
    assert row["benefit"] == pytest.approx(4 * 40)
    assert 0 < row["benefit_low"] < 160 < row["benefit_high"]
    assert pd.isna(assess(make_alerts(*treated))["benefit"])


def test_weeks_begin_on_mondays_and_each_level_has_its_rows() -> None:
    alerts = pd.concat([make_alerts({}), make_alerts({}, {}, level="low", day=date(2026, 1, 11))])
    found = assess_alerts(alerts, COSTS, confidence=0.95).query("period == 'week'")
    assert found[["period_start", "level", "count_raised"]].to_numpy().tolist() == [
        [date(2026, 1, 5), "all", 2], [date(2026, 1, 5), "low", 2],
        [date(2026, 1, 12), "all", 1], [date(2026, 1, 12), "high", 1],
    ]  # fmt: skip


def test_without_alerts_there_are_no_rows() -> None:
    assert assess_alerts(make_alerts({}).iloc[:0], COSTS, confidence=0.95).empty
