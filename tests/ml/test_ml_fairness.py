import numpy as np
import pytest

from ml.training.fairness import measure_groups, name_unfair

SIZE = 2000


def judged(shift: float, minimum_rows: int = 100) -> tuple[str, ...]:
    """Judge probabilities that are right for one group and off by `shift` for the other."""
    draw = np.random.default_rng(0)
    true = draw.uniform(0.05, 0.5, SIZE)
    label = (draw.random(SIZE) < true).astype(float)
    groups = {"age_band": ["old" if row % 2 else "young" for row in range(SIZE)], "plan": [None] * SIZE}
    given = np.where(np.arange(SIZE) % 2, true + shift, true)
    figures = measure_groups(label, given, groups, capacity=0.1, minimum_rows=minimum_rows)
    return name_unfair(figures, protected=["age_band"], maximum_gap=0.05)


def test_a_group_whose_churn_is_overstated_speaks_against_the_model() -> None:
    (clause,) = judged(0.2)

    assert clause.startswith("it misstates the churn of age_band 'old' by +0.2")


def test_probabilities_that_mean_the_same_for_both_groups_are_fair() -> None:
    assert judged(0.0) == ()


def test_groups_too_small_to_tell_from_chance_are_not_shown() -> None:
    assert judged(0.2, minimum_rows=SIZE) == ()


def test_a_group_s_figures_are_those_worked_out_by_hand() -> None:
    label, probability = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.8, 0.3, 0.1])

    (a, b) = measure_groups(label, probability, {"kind": ["a", "a", "b", "b"]}, capacity=0.5, minimum_rows=2)

    assert (a.rows, a.base_rate, a.auc, a.contacted, a.found) == (2, 0.5, 1.0, 1.0, 1.0)
    assert (b.contacted, b.found, b.gap) == (0.0, 0.0, pytest.approx(-0.3))
