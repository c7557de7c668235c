from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from retention.measuring.attribution import Attribution, Journeys, attribute, divide_by_removal, divide_by_shapley

A, B = frozenset("a"), frozenset("b")


def _journey(actions: str, count: int = 1) -> Journeys:
    return Journeys(actions=tuple(actions), count_treated=count, increment=None, variance=None)


def _attribute(seed: int, effects: Sequence[float], *, size: int = 30_000, most: int = 1) -> Attribution:
    """Divide what a world saved in which action 0, 1, .. lowers the probability of leaving by its effect."""
    draw = np.random.default_rng(seed)
    held_out, counts = draw.random(size) < 0.3, draw.integers(1, most + 1, size)
    actions = np.argsort(draw.random((size, len(effects))), axis=1)[:, :most]
    is_due = np.arange(most) < counts[:, None]
    lowered = (np.asarray(effects)[actions] * is_due).sum(axis=1)
    stayed = draw.random(size) > 0.4 - lowered * ~held_out
    customers, steps = np.nonzero(is_due)
    decisions = pd.DataFrame(
        {
            "customer_id": customers,
            "as_of": steps,
            "arm": np.where(held_out, "holdout", "treated")[customers],
            "strategy_id": [f"s{each}" for each in actions[customers, steps]],
            "outcome": stayed[customers] / counts[customers],
        }
    )
    return attribute(decisions, action="strategy_id")


def test_parts_and_rest_sum_to_the_held_out_increment() -> None:
    found = _attribute(1, [0.2, -0.15, 0.0], most=2)
    for method, rest in (("shapley", found.rest_shapley), ("markov", found.rest_markov)):
        assert found.parts[method].sum() + rest == pytest.approx(found.increment)
    assert found.parts["last_touch"].sum() == pytest.approx(found.increment)


@pytest.mark.parametrize("method", ["shapley", "markov"])
def test_the_one_action_that_works_gets_the_increment_and_the_last_touch_does_not(method: str) -> None:
    found = _attribute(2, [0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    parts = found.parts.set_index("action")
    assert parts[method]["s0"] >= 0.8 * found.increment
    assert parts["last_touch"]["s0"] < 0.25 * found.increment


@pytest.mark.parametrize("method", ["shapley", "markov"])
def test_an_action_that_drives_customers_away_gets_a_negative_part(method: str) -> None:
    parts = _attribute(3, [0.2, -0.15, 0.0], most=2).parts.set_index("action")[method]
    assert parts["s1"] < 0 < parts["s0"]


def test_what_evidence_does_not_support_stays_as_a_rest() -> None:
    found = _attribute(4, [0.0] * 6)
    assert found.parts["shapley"].abs().sum() < abs(found.increment) or abs(found.rest_shapley) > 0


def test_shapley_is_the_mean_marginal_increment_over_all_orders() -> None:
    worth = {frozenset(): 0.0, A: 6.0, B: 2.0, A | B: 12.0}
    assert divide_by_shapley([_journey("ab", 3)], worth) == {"a": 3 * 8.0, "b": 3 * 4.0}


def test_a_coalition_that_nobody_got_is_worth_the_sum_of_its_actions() -> None:
    assert divide_by_shapley([_journey("ab")], {frozenset(): 0.0, A: 6.0, B: 2.0}) == {"a": 6.0, "b": 2.0}


def test_without_an_action_its_customers_go_on_to_the_next() -> None:
    worth = {frozenset(): 0.0, A: 6.0, B: 2.0}
    assert divide_by_removal([_journey("ab"), _journey("b", 3)], worth) == pytest.approx({"a": 6.0, "b": 8.0})


def test_effects_that_cancel_are_not_enlarged_to_meet_the_sum() -> None:
    worth = {frozenset(): 0.0, A: 5.0, B: -4.0}
    assert divide_by_removal([_journey("a"), _journey("b")], worth) == pytest.approx({"a": 5.0, "b": -4.0})
