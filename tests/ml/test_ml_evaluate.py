import numpy as np
import pytest

from ml.evaluate import EvaluationError, evaluate, expected_calibration_error, lift
from ml.training.calibrate import Calibrator


def test_figures_of_a_tiny_example_match_those_worked_out_by_hand() -> None:
    label = np.array([0.0, 0.0, 1.0, 0.0, 1.0])
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.9])

    found = evaluate(label, probability, capacity=0.2, bins=5)

    assert {name: round(value, 6) for name, value in found.as_dict().items()} == {
        "n": 5,
        "base_rate": 0.4,
        "auc": 0.833333,
        "pr_auc": 0.833333,
        "brier": 0.142,
        "ece": 0.3,
        "log_loss": 0.429733,
        "accuracy": 0.8,
        "majority_accuracy": 0.6,
        "lift_at_capacity": 2.5,
        "capacity": 0.2,
        "brier_skill": 0.408333,
    }


def test_a_score_that_is_the_same_for_all_has_no_lift_whatever_the_order_of_rows() -> None:
    label = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    assert lift(label, np.full(10, 0.2), capacity=0.1) == pytest.approx(1.0)


def test_one_outcome_alone_cannot_be_evaluated() -> None:
    with pytest.raises(EvaluationError, match="3 labels with 0 churned"):
        evaluate(np.zeros(3), np.array([0.1, 0.2, 0.3]))


def test_calibration_repairs_an_overconfident_score_and_keeps_its_order() -> None:
    draw = np.random.default_rng(0)
    true = draw.normal(-1.5, 1.0, 20_000)
    label = (draw.random(20_000) < 1 / (1 + np.exp(-true))).astype(float)
    overconfident = 2.5 * true + 1.0

    found = Calibrator.learn(overconfident[:10_000], label[:10_000]).probability(overconfident[10_000:])

    assert expected_calibration_error(label[10_000:], found) < 0.015
    assert (np.argsort(found) == np.argsort(overconfident[10_000:])).all()
