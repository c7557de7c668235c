from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from company.policy import load_policy
from company.policy.training import RiskSignal
from ml.cold_start.rules import score_by_rules
from ml.cold_start.scores import Outcomes, Shortfall, measure_shortfall, score_cold_start
from ml.cold_start.survival import Survival, estimate_intervals

SIGNALS = (
    RiskSignal(en="silent", zh="silent", feature="recency_days", weight=2.0, at_least=30.0),
    RiskSignal(en="spends less", zh="spends less", feature="change_spend_90d", weight=1.0, at_most=-0.8),
    RiskSignal(en="complains", zh="complains", feature="complaints", weight=1.0, at_least=1.0),
)


def test_rules_score_by_the_weight_that_shows_and_list_what_is_missing() -> None:
    table = pa.table(
        {
            "customer_id": ["all", "some", "unknown"],
            "recency_days": [40.0, 10.0, None],
            "change_spend_90d": [-0.9, -0.9, None],
        }
    )

    assert score_by_rules(table, SIGNALS).to_pylist() == [
        {"customer_id": "all", "score": 100.0, "confidence": 0.75, "missing": "complains"},
        {"customer_id": "some", "score": pytest.approx(100 / 3), "confidence": 0.75, "missing": "complains"},
        {"customer_id": "unknown", "score": None, "confidence": 0.0, "missing": "silent, spends less, complains"},
    ]


def test_the_shape_of_inactivities_is_worked_out_from_prior_and_data_by_hand() -> None:
    found = Survival.learn(np.array([1.0, 3.0, 0.0]), np.array([1.0, 0.0, 1.0]))

    assert found.shape == pytest.approx((20 + 2) / (20 / 4 + np.log(4 / 3) + np.log(2)))
    assert found.goes_on(np.array([0.0, 3.0]), horizon=np.array([3.0, 3.0])) == pytest.approx(
        [0.5**found.shape, (6 / 9) ** found.shape]
    )


def test_survival_finds_the_tail_of_a_world_although_the_last_inactivities_are_open() -> None:
    draw = np.random.default_rng(0)
    length, seen = 3 * ((1 - draw.random(20_000)) ** (-1 / 2.5) - 1), draw.exponential(4, 20_000)

    found = Survival.learn(np.minimum(length, seen), (length <= seen).astype(float))

    assert found.shape == pytest.approx(2.5, abs=0.1)


def test_the_longer_an_inactivity_lasts_the_longer_it_will_last_and_nothing_is_certain() -> None:
    chances = Survival.learn(np.array([]), np.array([])).goes_on(np.arange(0.0, 400.0), horizon=np.full(400, 3.0))

    assert (np.diff(chances) > 0).all()
    assert 0 < chances.min() < chances.max() < 1


def test_a_customer_of_few_purchases_has_an_interval_close_to_the_typical_customers() -> None:
    found = estimate_intervals(np.array([10.0, 30.0, np.nan, 10.0]), np.array([101.0, 2.0, 1.0, 3.0]), otherwise=99)

    assert found == pytest.approx([10.0, (2 * 10 + 30) / 3, 10.0, 10.0])
    assert estimate_intervals(np.array([np.nan]), np.array([1.0]), otherwise=99).tolist() == [99.0]


TABLE = pa.table(
    {
        "customer_id": [f"c{row}" for row in range(60)],
        "recency_days": pa.array([*(float(row % 20) for row in range(58)), 40.0, None], pa.float64()),
        "last_gap_days": [10.0 + row % 20 for row in range(60)],
        "mean_gap_days": [12.0 + row % 7 for row in range(60)],
        "count_orders_total": [3.0 + row % 9 for row in range(60)],
        "complaints": pa.array([None] * 59 + [2.0], pa.float64()),
    }
)
RULES = (
    RiskSignal(en="silence", zh="silence", feature="recency_days", weight=2.0, at_least=15.0),
    RiskSignal(en="complains", zh="complains", feature="complaints", weight=1.0, at_least=1.0),
    RiskSignal(en="pays late", zh="pays late", feature="days_overdue", weight=1.0, at_least=1.0),
)


def test_in_a_cold_start_customers_get_scores_with_their_method_trust_and_what_is_missing() -> None:
    found = score_cold_start(TABLE, RULES, horizon_days=10, base_rate=0.05)

    rows = found.table.to_pylist()
    assert {**rows[0], "score": None, "survival_probability": None} == {
        "customer_id": "c0",
        "score": None,
        "method": "rules",
        "rule_score": 0.0,
        "survival_probability": None,
        "confidence": 0.25,
        "missing": "complains, pays late",
    }
    assert 0 < rows[0]["score"] < rows[19]["score"] < rows[58]["score"] < 100
    assert (rows[59]["method"], rows[59]["survival_probability"]) == ("rules", None)
    assert found.notes == (
        "1 of 3 signals have no column: pays late",
        "how long inactivities last rests on 60 that have ended",
    )


def test_scores_stand_at_the_level_of_the_outcomes_that_are_known_and_of_the_industry_without() -> None:
    def mean(**given: object) -> float:
        return float(np.mean(score_cold_start(TABLE, RULES, horizon_days=10, base_rate=0.05, **given).table["score"]))

    assert mean(follows_purchases=False) == pytest.approx(5)
    assert mean(follows_purchases=False, outcomes=Outcomes(known=30, churned=9)) == pytest.approx(17.5)
    assert mean(outcomes=Outcomes(known=100_000, churned=0)) == pytest.approx(0.5, abs=0.01)


def test_where_no_rule_is_known_survival_scores_and_where_nothing_is_the_usual_rate_does() -> None:
    found = score_cold_start(TABLE, RULES[2:], horizon_days=10, base_rate=0.05, follows_purchases=False)

    rows = found.table.to_pylist()
    assert [rows[row]["method"] for row in (0, 59)] == ["survival", "none"]
    assert (rows[19]["confidence"], rows[59]["confidence"]) == (0.25, 0.0)
    assert found.notes[-1] == "nothing is known about 1 of 60 customers: they have the usual rate"

    unknown = TABLE.select(["customer_id"])
    assert score_cold_start(unknown, RULES, horizon_days=10, base_rate=0.05).table["score"].to_pylist() == (
        pytest.approx([5.0] * 60)
    )
    assert score_cold_start(unknown.slice(0, 0), RULES, horizon_days=10, base_rate=0.05).table.num_rows == 0


def test_how_far_a_company_is_from_a_model_is_counted_in_customers() -> None:
    table = pa.table({"customer_id": ["a", "a", "b", "c"], "churned": pa.array([False, True, False, None], pa.bool_())})

    policy = load_policy({"training": {"minimum_customers": 5, "minimum_churners": 1}})

    found = measure_shortfall(table, "churned", training=policy.training)

    assert found == Shortfall(customers=2, churned=1, missing_customers=3, missing_churned=0)
    assert found.is_cold_start
    assert found.reason == (
        "2 customers with a known outcome, 1 of them churned: a model needs 3 more customers and 0 more churned"
    )


@pytest.mark.parametrize(
    ("churned_in", "is_lacking"), [([0, 1, 2, 3], False), ([3], True), ([0], False), ([2, 3], True)]
)
def test_churned_customers_in_the_last_snapshots_alone_are_too_few_snapshots(
    *, churned_in: list[int], is_lacking: bool
) -> None:
    days = [date(2025, month, 1) for month in (1, 2, 3, 4)]
    rows = [
        {"customer_id": f"c{number}", "as_of": day, "churned": place in churned_in and number < 5}
        for place, day in enumerate(days)
        for number in range(20)
    ]
    policy = load_policy({"training": {"minimum_customers": 20, "minimum_churners": 5}})

    found = measure_shortfall(
        pa.Table.from_pylist(rows), "churned", training=policy.training, time="as_of", maturity_days=28
    )

    assert (found.is_cold_start, found.lacks_snapshots) == (is_lacking, is_lacking)
    assert is_lacking is ("a model needs churned customers in more monthly snapshots" in found.reason)


def test_one_snapshot_is_too_few_for_a_model() -> None:
    rows = [{"customer_id": f"c{number}", "as_of": date(2025, 1, 1), "churned": number < 9} for number in range(20)]
    policy = load_policy({"training": {"minimum_customers": 20, "minimum_churners": 5}})

    found = measure_shortfall(pa.Table.from_pylist(rows), "churned", training=policy.training, time="as_of")

    assert found.is_cold_start
