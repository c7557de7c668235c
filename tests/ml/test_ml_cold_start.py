import numpy as np
import pyarrow as pa
import pytest

from company.policy import load_policy
from company.policy.training import RiskSignal
from ml.cold_start.rules import score_by_rules
from ml.cold_start.scores import Shortfall, measure_shortfall, score_cold_start
from ml.cold_start.survival import Survival

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


def test_survival_matches_the_estimate_worked_out_by_hand() -> None:
    found = Survival.learn(np.array([5.0, 10.0, 10.0, 20.0, 30.0]), np.array([1.0, 1.0, 0.0, 1.0, 0.0]))

    assert found.days.tolist() == [5.0, 10.0, 20.0]
    np.testing.assert_allclose(found.share, [0.8, 0.6, 0.3])
    np.testing.assert_allclose(found.goes_on(np.array([0.0, 10.0]), horizon=10), [0.6, 0.5])


def test_survival_finds_the_rate_of_a_world_without_memory_although_the_last_silences_are_open() -> None:
    draw = np.random.default_rng(0)
    length, seen = draw.exponential(20, 20_000), draw.exponential(40, 20_000)

    found = Survival.learn(np.minimum(length, seen), (length <= seen).astype(float))

    assert found.goes_on(np.array([0.0, 15.0]), horizon=30.0) == pytest.approx(np.exp(-1.5), abs=0.02)


def test_without_an_ended_silence_nothing_is_claimed() -> None:
    with pytest.raises(ValueError, match="no silence has ended yet"):
        Survival.learn(np.array([3.0]), np.array([0.0]))


TABLE = pa.table(
    {
        "customer_id": [f"c{row}" for row in range(60)],
        "recency_days": pa.array([*(float(row % 20) for row in range(58)), 40.0, None], pa.float64()),
        "last_gap_days": [10.0 + row % 20 for row in range(60)],
        "complaints": pa.array([None] * 59 + [2.0], pa.float64()),
    }
)
RULES = (
    RiskSignal(en="silence", zh="silence", feature="recency_days", weight=2.0, at_least=15.0),
    RiskSignal(en="complains", zh="complains", feature="complaints", weight=1.0, at_least=1.0),
    RiskSignal(en="pays late", zh="pays late", feature="days_overdue", weight=1.0, at_least=1.0),
)


def test_in_a_cold_start_customers_get_scores_with_their_method_trust_and_what_is_missing() -> None:
    found = score_cold_start(
        TABLE, RULES, horizon_days=10, silent_days="recency_days", past_silences=["last_gap_days", "not_there"]
    )

    rows = found.table.to_pylist()
    assert rows[0] == {
        "customer_id": "c0",
        "score": 0.0,
        "method": "rules",
        "rule_score": 0.0,
        "survival_probability": pytest.approx(0.95, abs=0.06),
        "confidence": 0.25,
        "missing": "complains, pays late",
    }
    assert rows[59]["method"] == "rules"
    assert rows[59]["survival_probability"] is None
    assert found.notes == (
        "1 of 3 signals have no column: pays late",
        "the survival baseline rests on 60 ended silences",
    )


def test_where_no_rule_is_known_the_survival_baseline_scores_and_where_nothing_is_nobody_does() -> None:
    found = score_cold_start(
        TABLE, RULES[2:], horizon_days=10, silent_days="recency_days", past_silences=["last_gap_days"]
    )

    rows = found.table.to_pylist()
    assert [rows[row]["method"] for row in (0, 59)] == ["survival", "none"]
    assert rows[19]["score"] == pytest.approx(100 * rows[19]["survival_probability"])
    assert (rows[19]["confidence"], rows[59]["score"], rows[59]["confidence"]) == (0.25, None, 0.0)
    assert found.notes[-1] == "nothing is known about 1 of 60 customers: they have no score"


def test_too_few_silences_make_no_survival_baseline() -> None:
    found = score_cold_start(
        TABLE.slice(0, 20), RULES, horizon_days=10, silent_days="recency_days", past_silences=["last_gap_days"]
    )

    assert found.table.column("survival_probability").null_count == 20
    assert "20 ended silences are known, 30 are needed to know how long silences last" in found.notes


def test_how_far_a_company_is_from_a_model_is_counted_in_customers() -> None:
    table = pa.table({"customer_id": ["a", "a", "b", "c"], "churned": pa.array([False, True, False, None], pa.bool_())})

    policy = load_policy({"training": {"minimum_customers": 5, "minimum_churners": 1}})

    found = measure_shortfall(table, "churned", training=policy.training)

    assert found == Shortfall(customers=2, churned=1, missing_customers=3, missing_churned=0)
    assert found.is_cold_start
    assert found.reason == (
        "2 customers with a known outcome, 1 of them churned: a model needs 3 more customers and 0 more churned"
    )
