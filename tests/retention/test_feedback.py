"""What feedback on alerts demands: nothing of few answers, a higher line or a second reason of many, within bounds."""

from datetime import date, timedelta

import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.acting.alerts import raise_alerts
from retention.deciding.cutoffs import NOBODY
from retention.deciding.feedback import read_points, read_second_reasons, weigh_feedback
from retention.deciding.tiers import assign, raise_lines

DAY = date(2026, 6, 1)


def policy(**feedback: object) -> Policy:
    usual = {"minimum_answers": 20, "days": 180, "tolerated_wrong": 0.5, "most_points": 10}
    return load_policy({"cutoffs": {"feedback": usual | feedback}})


def answers(wrong: int, right: int, *, level: str = "high", reason: str | None = "price", age: int = 1) -> pd.DataFrame:
    words = ["wrong"] * wrong + ["useful", "already_known"] * right
    return pd.DataFrame({"feedback": words[: wrong + right]}).assign(
        level=level, main_reason=reason, closed_on=DAY - timedelta(days=age)
    )


def test_many_wrong_answers_demand_a_second_reason_and_a_higher_line_and_say_why() -> None:
    found = weigh_feedback(pd.concat([answers(45, 5), answers(0, 30, level="low")]), policy(), as_of=DAY)
    assert read_second_reasons(found) == {("high", "price")}
    assert read_points(found) == {"high": 6}  # the low end is 0.786: ten points by 0.286 of 0.5, rounded up
    assert found.loc[found["demand"] == "higher_line", "why_en"].item() == (
        "45 of 50 answers called high alerts wrong, at least 79% beyond chance where 50% are tolerated: their line is "
        "6 points higher."
    )
    assert set(found.loc[found["level"] == "low", "demand"]) == {"nothing"}


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        (answers(19, 0), {}),
        (answers(30, 28), {}),  # more than half, but not beyond chance
        (answers(45, 5, age=181), {}),
        (answers(45, 5, age=0), {}),  # given on the day itself
        (answers(45, 5), {"tolerated_wrong": 0.8}),
    ],
)
def test_few_old_or_doubtful_answers_demand_nothing(given: pd.DataFrame, bounds: dict[str, object]) -> None:
    found = weigh_feedback(given, policy(**bounds), as_of=DAY)
    assert set(found["demand"]) <= {"nothing"}


def test_the_policy_bounds_how_far_a_line_rises() -> None:
    found = weigh_feedback(answers(10_000, 0), policy(most_points=3), as_of=DAY)
    assert read_points(found) == {"high": 3}
    unmoved = weigh_feedback(answers(10_000, 0), policy(most_points=0), as_of=DAY)
    assert read_points(unmoved) == {"high": 0}


def test_raised_lines_stay_in_order_and_a_level_for_nobody_stays_so() -> None:
    raised = raise_lines({"high": 97, "medium": 50, "low": 48}, {"high": 9, "low": 9})
    assert list(raised.values()) == [99, 50, 50]
    assert list(raise_lines({"high": NOBODY, "medium": 50, "low": 40}, {"high": 9}).values()) == [NOBODY, 50, 40]


@pytest.mark.parametrize(("chosen", "line"), [("tiers", 80), ("alerts", 90)])
def test_fixed_lines_rise_as_well_and_labels_stay_at_the_policys(chosen: str, line: int) -> None:
    scores = pd.DataFrame({"customer_id": ["a", "b"], "score": [line + 5.0, line + 6.0]})
    found = assign(scores, load_policy({"tier_policy": chosen}), points={"high": 6})
    assert found["level"].tolist() == ["medium", "high"]
    assert found["tier"].tolist() == ["high", "high"]


def test_an_alert_of_a_doubted_reason_needs_a_second_one() -> None:
    usual = policy()
    scores = pd.DataFrame({"customer_id": ["a", "b", "c"], "reasons": ["price", "price,service", "service"]}).assign(
        score=95.0, probability=0.95, as_of=DAY, why_en="w", why_zh="因", money_at_risk=1.0,
        main_reason=["price", "price", "service"],
    )  # fmt: skip
    scores = assign(scores, usual)
    raised = raise_alerts(scores, usual, second_reasons={("high", "price")})
    assert sorted(raised["customer_id"]) == ["b", "c"]
    assert len(raise_alerts(scores, usual)) == 3
