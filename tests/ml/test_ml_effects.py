"""Effects on decisions whose truth is known."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from ml.effects.doubly_robust import correct, score
from ml.effects.estimate import EffectConfig, estimate
from ml.effects.level import find_level
from ml.effects.policy_value import doubly_robust, snips
from ml.effects.randomised import Randomised, read_randomised
from ml.effects.shrinkage import Cells, deviations, pool, shrink

CONFIG = EffectConfig(
    group_spread=0.03, declared_spread=0.005, level_spread=2, minimum_rows=200, minimum_group_rows=20, folds=3,
    confidence=0.95,
)  # fmt: skip
DECLARED = pd.DataFrame(
    {
        "strategy_id": ["call", "coupon"], "effect": [0.1, 0.1], "low": [0.0, 0.0], "high": [0.2, 0.2],
        "cost": [4.0, 1.0],
        "source": ["a trial", "a guess"],
    }
)  # fmt: skip
CHANCES = {"": 0.3, "call": 0.5, "coupon": 0.2}


def _decide(count: int, truth: Mapping[tuple[str, str], float], *, seed: int = 0) -> pd.DataFrame:
    """Return matured decisions of customers in two groups: `truth` is the effect of a strategy in a group."""
    random = np.random.default_rng(seed)
    group = random.choice(["gold", "normal"], count)
    given = random.choice(list(CHANCES), count, p=list(CHANCES.values()))
    probability = random.beta(3, 4, count)
    effect = np.array([truth.get((action, name), 0.0) for action, name in zip(given, group, strict=True)])
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(count)],
            "arm": np.where(given == "", "holdout", "treated"),
            "strategy_id": np.where(given == "", "call", given),
            "propensities": json.dumps(CHANCES),
            "effect_group": group,
            "probability": probability,
            "money_at_risk": probability * 100,
            "value_from_now": 100.0,
            "churned": random.random(count) < probability * (1 - effect),
        }
    ).assign(retained=lambda each: ~each["churned"])


TRUTH = {("call", "gold"): 0.3, ("call", "normal"): 0.05, ("coupon", "gold"): 0.0, ("coupon", "normal"): -0.4}


@pytest.fixture(scope="module")
def rows() -> Randomised:
    return read_randomised(_decide(20_000, TRUTH))


def test_intervals_hold_the_true_effects_and_harm_is_found(rows: Randomised) -> None:
    found = estimate(rows, DECLARED, CONFIG).table.set_index(["strategy_id", "effect_group"])
    assert set(found["basis"]) == {"measured"}
    for cell, effect in TRUTH.items():
        assert found.loc[cell, "low"] < effect < found.loc[cell, "high"]
    assert found.loc[("coupon", "normal"), "high"] < 0
    assert found.loc[("call", "gold"), "low"] > 0.1


def test_measured_effects_replace_declared_ones_where_they_choose_better_beyond_chance(rows: Randomised) -> None:
    effects = estimate(rows, DECLARED, CONFIG)
    assert effects.gain is not None
    assert effects.gain.low > 0
    assert effects.table["is_used"].all()


def test_what_was_declared_rightly_is_not_replaced() -> None:
    truth = dict.fromkeys(TRUTH, 0.1)
    effects = estimate(read_randomised(_decide(6_000, truth)), DECLARED, CONFIG)
    assert not effects.table["is_used"].any()


@pytest.mark.parametrize("times", [0.0, 2.0, -1.0])
def test_the_level_is_by_how_much_all_declared_effects_are_off(times: float) -> None:
    decisions = _decide(40_000, dict.fromkeys(TRUTH, 0.1 * times), seed=3)
    level = find_level(read_randomised(decisions), DECLARED, spread=2)
    assert level.value == pytest.approx(times, abs=3 * level.deviation)
    assert level.deviation < 0.2


def test_an_effect_is_that_of_who_is_answered_and_others_have_their_part_of_it() -> None:
    decisions = _decide(40_000, {}, seed=5)
    random = np.random.default_rng(6)
    reason = random.choice(["price", "service"], len(decisions))
    fits = {"coupon": {"service": 0.5}, "call": {"price": 0.5}}
    part = [fits.get(name, {}).get(why, 1.0) for name, why in zip(decisions["strategy_id"], reason, strict=True)]
    kept = 0.3 * np.array(part) * decisions["arm"].eq("treated").to_numpy()
    churned = random.random(len(decisions)) < decisions["probability"] * (1 - kept)
    rows = read_randomised(decisions.assign(main_reason=reason, churned=churned), fits=fits)
    level = find_level(rows, DECLARED, spread=10)
    assert level.value == pytest.approx(3, abs=3 * level.deviation)
    found = estimate(rows, DECLARED, CONFIG).table
    assert ((found["low"] < 0.3) & (found["high"] > 0.3)).all()
    assert (found["low"] > 0.2).all()
    blind = estimate(read_randomised(decisions.assign(churned=churned)), DECLARED, CONFIG).table
    assert (blind["high"] < 0.3).any()


def test_money_counts_the_windows_in_which_contact_is_felt() -> None:
    decisions = _decide(3, TRUTH)
    twice = read_randomised(decisions, kept_share=0.5, felt=np.array([2.0, 4.0, 1.0]))
    assert twice.money.tolist() == pytest.approx((decisions["money_at_risk"] * [1.0, 2.0, 0.5]).tolist())


def test_the_level_has_the_error_that_it_says() -> None:
    drawn = [
        find_level(read_randomised(_decide(400, dict.fromkeys(TRUTH, 0.1), seed=seed)), DECLARED, spread=1e6)
        for seed in range(60)
    ]
    spread = float(np.std([each.value for each in drawn]))
    assert spread == pytest.approx(float(np.mean([each.deviation for each in drawn])), rel=0.25)
    assert float(np.mean([each.value for each in drawn])) == pytest.approx(1, abs=3 * spread / 60**0.5)


def test_the_level_is_believed_until_decisions_are_many() -> None:
    decisions = _decide(40, dict.fromkeys(TRUTH, 0.0))
    few = find_level(read_randomised(decisions), DECLARED, spread=0.5)
    none = find_level(read_randomised(decisions.assign(churned=None)), DECLARED, spread=0.5)
    assert abs(few.value - 1) < 0.5
    assert (none.value, none.deviation) == (1.0, 0.5)


def test_few_decisions_leave_the_declared_effect_as_it_is() -> None:
    table = estimate(read_randomised(_decide(400, TRUTH)), DECLARED, CONFIG).table
    coupon = table.loc[table["strategy_id"] == "coupon"]
    assert set(coupon["basis"]) == {"declared"}
    assert coupon["effect"].tolist() == [0.1, 0.1]
    assert coupon["source"].tolist() == ["a guess"] * 2


def test_without_any_decision_the_declared_effects_stand_for_everybody() -> None:
    effects = estimate(read_randomised(_decide(5, TRUTH).iloc[:0]), DECLARED, CONFIG)
    assert effects.gain is None
    assert effects.table[["strategy_id", "effect_group", "effect", "basis"]].to_numpy().tolist() == [
        ["call", "all", 0.1, "declared"],
        ["coupon", "all", 0.1, "declared"],
    ]


def test_who_was_lost_and_came_back_counts_as_who_stayed() -> None:
    gone = _decide(8_000, {}).assign(probability=np.nan, churned=None, money_at_risk=90.0)
    random = np.random.default_rng(1)
    gone["retained"] = random.random(len(gone)) < np.where(gone["strategy_id"].eq("coupon"), 0.25, 0.1)
    gone.loc[gone["arm"].eq("holdout"), "retained"] = random.random(gone["arm"].eq("holdout").sum()) < 0.1
    rows = read_randomised(gone, kept_share=0.5)
    assert (len(rows.stayed), set(rows.money), set(rows.value)) == (8_000, {45.0}, {50.0})
    found = estimate(rows, DECLARED, CONFIG).table.set_index(["strategy_id", "effect_group"])
    expected = (0.25 - 0.1) / 0.9  # of those who would not have come
    for group in ("gold", "normal"):
        assert found.loc[("coupon", group), "low"] < expected < found.loc[("coupon", group), "high"]
        assert found.loc[("coupon", group), "low"] > found.loc[("call", group), "effect"]
    assert find_level(rows, DECLARED, spread=2).value == 1.0
    later = gone.assign(retained=None)
    assert len(read_randomised(later).stayed) == 0


def test_decisions_that_have_not_matured_or_have_no_probabilities_are_left_out() -> None:
    decisions = _decide(10, TRUTH).astype({"churned": object})
    decisions.loc[0, "churned"] = None
    decisions.loc[1, "propensities"] = None
    assert len(read_randomised(decisions).stayed) == 8


def test_known_probabilities_put_right_a_model_that_is_wrong(rows: Randomised) -> None:
    scores = correct(rows, np.full_like(rows.chances, 0.9))
    gained = (scores[:, 1] - scores[:, 0])[rows.groups == "gold"].mean()
    expected = 0.3 * (rows.money / 100)[rows.groups == "gold"].mean()
    assert abs(gained - expected) < 0.03


def test_policies_are_worth_what_they_would_bring(rows: Randomised) -> None:
    policy = np.where(rows.groups == "gold", 1, 0)
    leaving = rows.money / 100
    truth = float((1 - leaving * np.where(policy == 1, 1 - 0.3, 1.0)).mean())
    for found in (
        snips(rows, rows.stayed, policy, confidence=0.95),
        doubly_robust(score(rows, folds=3), rows.customers, policy, confidence=0.95),
    ):
        assert found.low < truth < found.high
        assert found.high - found.low < 0.05


def test_an_effect_without_data_follows_its_strategy_and_its_group() -> None:
    cells = Cells(
        strategies=["a", "a", "b", "b"],
        groups=["x", "y", "x", "y"],
        declared=np.full(4, 0.1),
        spread=np.full(4, 0.05),
    )
    measured, error = np.array([-0.4, 0.1, 0.1, np.nan]), np.diag([1e-4, 1e-4, 1e-4, 1.0])
    average, covariance = shrink(cells, measured, error, least_spread=0.05)
    deviation = deviations(covariance)
    assert average[0] == pytest.approx(-0.4, abs=0.02)
    assert average[3] > 0.1
    assert deviation[3] > deviation[:3].max()


def test_strategies_that_prove_nothing_alone_prove_harm_together() -> None:
    names = [f"s{number}" for number in range(9)]
    cells = Cells(
        strategies=names * 2,
        groups=["x"] * 9 + ["y"] * 9,
        declared=np.full(18, 0.1),
        spread=np.full(18, 0.05),
    )
    measured, error = np.repeat([-0.25, 0.1], 9), np.diag(np.full(18, 0.3**2))
    average, covariance = shrink(cells, measured, error, least_spread=0.03)
    effect, spread = pool(cells, average, covariance, weight=np.ones(18))
    assert (average + 1.96 * deviations(covariance))[0] > 0
    assert (effect + 1.96 * spread)[0] < 0
    assert (effect - 1.96 * spread)[9] > -0.1
    untried, _ = pool(cells, average, covariance, weight=np.repeat([0.0, 1.0], 9))
    assert np.isnan(untried).tolist() == [True] * 9 + [False] * 9


def test_effects_are_shares_of_the_predicted_leaving() -> None:
    decisions = _decide(20_000, {("call", "gold"): 0.3, ("call", "normal"): 0.3})
    halved = decisions.assign(probability=decisions["probability"] * 2)
    raw, twice = (
        estimate(read_randomised(each), DECLARED, CONFIG).table.set_index(["strategy_id", "effect_group"])["raw_effect"]
        for each in (decisions, halved)
    )
    assert raw["call", "gold"] == pytest.approx(0.3, abs=0.06)
    assert twice["call", "gold"] == pytest.approx(0.15, abs=0.03)


def test_a_noisy_effect_stays_near_what_was_declared() -> None:
    cells = Cells(strategies=["a"], groups=["x"], declared=np.array([0.1]), spread=np.array([0.05]))
    average, _ = shrink(cells, np.array([0.9]), np.array([[1.0]]), least_spread=0.03)
    assert 0.1 < average[0] < 0.12
