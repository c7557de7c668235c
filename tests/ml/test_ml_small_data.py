import numpy as np
import pyarrow as pa
import pytest

from ml.rules import Signal, score_by_rules
from ml.survival import Survival

SIGNALS = (
    Signal("silent", "recency_days", 2.0, at_least=30.0),
    Signal("spends less", "change_spend_90d", 1.0, at_most=-0.8),
    Signal("complains", "complaints", 1.0, at_least=1.0),
)


def test_rules_score_by_the_weight_that_shows_and_say_what_is_missing() -> None:
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


def test_a_signal_with_two_bounds_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="signal 'odd' needs either at_least or at_most"):
        Signal("odd", "x", 1.0, at_least=1.0, at_most=2.0)


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
