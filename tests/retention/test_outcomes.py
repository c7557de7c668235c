from typing import Any

import numpy as np
import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.measuring.outcomes import COLUMNS, needed_sample, newcombe, read_effects, wilson

POLICY = load_policy({"holdout": {"share": 0.5}})


def _decisions(arm: str, kept: int, lost: int, **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"churned": [False] * kept + [True] * lost})
    return frame.assign(arm=arm, **({"strategy_id": "s", "is_mature": True, "event": "assigned"} | columns))


def _outcomes(treated: tuple[int, int], held_out: tuple[int, int], **columns: object) -> pd.DataFrame:
    return pd.concat([_decisions("treated", *treated, **columns), _decisions("holdout", *held_out, **columns)])


def _row(outcomes: pd.DataFrame, policy: Policy = POLICY) -> dict[str, Any]:
    return dict(read_effects(outcomes, policy).set_index("strategy_id").loc["s"])


def test_the_interval_is_newcombes_published_example() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, example (a): 56/70 - 48/80, method 10
    found = newcombe((56, 70), (48, 80), confidence=0.95)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, 81/263, method 3
    assert wilson(81, 263, confidence=0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_needed_sample_is_the_textbook_one_for_equal_arms() -> None:
    # Fleiss, Statistical Methods for Rates and Proportions: 0.60 against 0.70, alpha 0.05, power 0.80 -> 356 each
    asked = load_policy({"outcomes": {"smallest_effect": 0.10}}).outcomes
    assert needed_sample(0.60, asked, holdout_share=0.5) == (356, 356)


def test_a_small_holdout_needs_many_more_treated() -> None:
    treated, untreated = needed_sample(0.60, POLICY.outcomes, holdout_share=0.1)
    equal = needed_sample(0.60, POLICY.outcomes, holdout_share=0.5)[1]
    assert treated == pytest.approx(9 * untreated, rel=0.02)
    assert equal / 2 < untreated < equal


@pytest.mark.parametrize(
    ("treated", "held_out", "verdict"),
    [
        ((3000, 1000), (2700, 1300), "works"),
        ((2700, 1300), (3000, 1000), "harms"),
        ((3000, 1000), (3000, 1000), "no_effect_found"),
        ((30, 10), (10, 30), "insufficient"),
        ((3000, 1000), (0, 0), "insufficient"),
        ((0, 0), (3000, 1000), "insufficient"),
    ],
)
def test_a_verdict_needs_the_sample_and_the_interval(
    treated: tuple[int, int], held_out: tuple[int, int], verdict: str
) -> None:
    assert _row(_outcomes(treated, held_out))["verdict"] == verdict


def test_effects_count_only_mature_decisions() -> None:
    young = _outcomes((100, 0), (100, 0), is_mature=False)
    unknown = _outcomes((5, 0), (5, 0)).assign(churned=None)
    row = _row(pd.concat([_outcomes((3, 1), (1, 1)), young, unknown]))
    counts = {name: row[name] for name in ("n_treated", "n_holdout", "n_immature", "retention_treated")}
    assert counts == {"n_treated": 4, "n_holdout": 2, "n_immature": 210, "retention_treated": 0.75}


def test_what_became_of_a_message_does_not_move_a_customer_between_arms() -> None:
    outcomes = _outcomes((3, 1), (1, 1))
    with_events = pd.concat([outcomes, outcomes.assign(event="sent"), outcomes.assign(event="failed")])
    pd.testing.assert_frame_equal(read_effects(with_events, POLICY), read_effects(outcomes, POLICY))


def test_decisions_that_exploration_changed_say_nothing_about_a_strategy() -> None:
    planned = _outcomes((50, 50), (40, 60), planned_strategy_id="s")
    explored = pd.concat(
        [
            _decisions("treated", 100, 0, planned_strategy_id="another"),
            _decisions("control", 0, 100, planned_strategy_id="s"),
        ]
    )
    alone, together = (read_effects(rows, POLICY) for rows in (planned, pd.concat([planned, explored])))
    pd.testing.assert_frame_equal(together, alone)


def test_all_strategies_together_come_first() -> None:
    outcomes = pd.concat([_outcomes((3, 1), (1, 1)), _outcomes((1, 1), (2, 0), strategy_id="r")])
    found = read_effects(outcomes, POLICY)
    assert found[["strategy_id", "n_treated", "n_holdout"]].to_numpy().tolist() == [
        ["all", 6, 4],
        ["r", 2, 2],
        ["s", 4, 2],
    ]


def test_money_is_a_difference_of_means_with_an_interval() -> None:
    rng = np.random.default_rng(0)
    outcomes = _outcomes((400, 0), (400, 0), cost=2.0)
    outcomes["amount_spent_after"] = np.where(outcomes["arm"] == "treated", 12.0, 10.0) + rng.normal(size=800)
    row = _row(outcomes)
    assert row["amount_low"] < 2 < row["amount_high"]
    assert (row["amount_difference"], row["cost_per_treated"]) == (pytest.approx(2, abs=0.2), 2.0)


def test_a_strategy_that_keeps_hardly_anyone_is_up_for_review() -> None:
    assert _row(_outcomes((100, 3900), (100, 3900)))["is_below_floor"]
    assert not _row(_outcomes((1, 39), (1, 39)))["is_below_floor"]


def test_nothing_decided_yet_gives_a_row_that_says_so() -> None:
    found = read_effects(_outcomes((0, 0), (0, 0)), POLICY)
    assert (list(found.columns), found["verdict"].tolist()) == (list(COLUMNS), ["insufficient"])


def test_a_true_effect_is_found_and_no_effect_is_not_claimed_too_often() -> None:
    rng = np.random.default_rng(7)
    size = needed_sample(0.6, POLICY.outcomes, holdout_share=0.5)[0] + 60
    verdicts = []
    for effect in (0.05, 0.0):
        kept = rng.binomial(size, [0.6 + effect, 0.6], size=(200, 2))
        rows = [_verdict_of(int(ours), int(theirs), size) for ours, theirs in kept]
        verdicts.append(rows.count("works") / len(rows))
    assert verdicts[0] > 0.7
    assert verdicts[1] < 0.07


def _verdict_of(ours: int, theirs: int, size: int) -> str:
    found = newcombe((ours, size), (theirs, size), confidence=POLICY.outcomes.confidence)
    assert found.low is not None
    return "works" if found.low > 0 else "not"
