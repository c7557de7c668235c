"""The event lane's weights are learned from nights when there is enough, and describe the next night better."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from company.policy import load_policy
from company.policy.lane import SEEN
from ml.lane_delta import LEARNED, NO_BETTER, TOO_FEW, calibrate, fit, lay_out, learn_weights

DECLARED = {"complaint": 0.7, "order": -1.0, SEEN: 0.0}
TRUE = {"complaint": 1.6, "order": -0.4, SEEN: 0.1}
RULES = load_policy({"lane": {"learning": {"nights": 5, "customers": 500}}}).lane.learning


def make_lessons(*, nights: int = 6, per_night: int = 200, last: dict[str, float] | None = None) -> pd.DataFrame:
    """Return nights that change log-odds by TRUE; the last one by `last`."""
    generator, rows = np.random.default_rng(5), []
    for night in range(nights):
        weights = last if last and night == nights - 1 else TRUE
        for _ in range(per_night):
            features = {"complaint": float(generator.integers(3)), "order": float(generator.integers(2)), SEEN: 1.0}
            before = generator.normal(-2, 1)
            change = sum(weights[name] * value for name, value in features.items()) + generator.normal(0, 0.2)
            rows.append({
                "as_of": date(2026, 1, 1) + timedelta(days=night), "features": features,
                "lane_delta": sum(DECLARED[name] * value for name, value in features.items()),
                "log_odds_before": before, "log_odds_night": before + change,
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_weights_come_near_what_nights_did_and_describe_the_next_one_better() -> None:
    found = learn_weights(make_lessons(), DECLARED, RULES)
    assert found.state == LEARNED
    assert dict(zip(found.names, found.log_odds, strict=True)) == pytest.approx(TRUE, abs=0.25)
    assert found.losses["learned"] < found.losses["declared"] < found.losses["night_before"]


def test_declared_weights_hold_until_there_is_enough_and_while_learned_ones_are_no_better() -> None:
    few, other = make_lessons(nights=4), make_lessons(last=DECLARED)
    states = [learn_weights(lessons, DECLARED, RULES) for lessons in (few, few.iloc[:0], other)]
    assert [found.state for found in states] == [TOO_FEW, TOO_FEW, NO_BETTER]
    assert all(found.log_odds.tolist() == list(DECLARED.values()) for found in states)


def test_the_fit_is_the_greatest_posterior_density() -> None:
    lessons = make_lessons(nights=1, per_night=80)
    features, offset = lay_out(lessons["features"].tolist(), list(DECLARED)), lessons["log_odds_before"].to_numpy()
    target, prior = 1 / (1 + np.exp(-lessons["log_odds_night"].to_numpy())), np.array(list(DECLARED.values()))

    def loss(weights: np.ndarray) -> float:
        odds = offset + features @ weights
        return float((np.logaddexp(0, odds) - target * odds).sum() + 3.0 / 2 * ((weights - prior) ** 2).sum())

    weights, errors = fit(features, target, offset=offset, prior=prior, strength=3.0)
    assert weights == pytest.approx(minimize(loss, prior, method="BFGS", options={"gtol": 1e-8}).x, abs=1e-5)
    assert (errors < 1 / np.sqrt(3.0)).all()


def test_a_lane_that_moves_half_as_far_as_the_night_has_a_slope_of_two() -> None:
    lessons = make_lessons(nights=2)
    found = calibrate(lessons.assign(log_odds_night=lessons["log_odds_before"] + 2 * lessons["lane_delta"] - 0.3))
    assert found["slope"].tolist() == pytest.approx([2.0] * len(found))
    assert found["mean_change"].tolist() == pytest.approx((2 * found["mean_delta"] - 0.3).tolist())
    assert found.groupby("as_of")["count_customers"].sum().tolist() == [200, 200]
    assert calibrate(lessons.iloc[:0]).empty
