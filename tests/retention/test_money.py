from typing import Any

import numpy as np
import pandas as pd
import pytest

from retention.measuring.money import COLUMNS, list_harms, measure_money


def _decide(arm: str, retained: list[bool], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"retained": retained, "arm": arm})
    known: dict[str, object] = {
        "customer_id": [f"{arm}{number}" for number in range(len(retained))],
        "planned_strategy_id": "voucher",
        "effect_group": "gold",
        "value_tier": "gold",
        "cost": 0.0 if arm == "holdout" else 2.0,
        "is_sent": arm == "treated",
        "is_mature": True,
        "value_from_now": 100.0,
        "probability": 0.5,
    }
    return frame.assign(**(known | columns))


def _money(*parts: pd.DataFrame, **options: float) -> dict[str, Any]:
    money = measure_money(pd.concat(parts, ignore_index=True), **({"confidence": 0.95} | options))
    return dict(money.iloc[0])


def _draw(seed: int, *, effect: float = 0.15, size: int = 900) -> tuple[pd.DataFrame, float]:
    """Return decisions of a world in which treatment lowers every probability of leaving, and what it truly saved."""
    draw = np.random.default_rng(seed)
    probability, value = draw.beta(3, 3, size), draw.lognormal(5, 0.8, size)
    held_out = draw.random(size) < 0.2
    leaves = np.clip(probability - effect * ~held_out, 0, 1)
    decisions = _decide("treated", list(draw.random(size) > leaves), value_from_now=value, probability=probability)
    decisions["arm"] = np.where(held_out, "holdout", "treated")
    decisions["customer_id"] = [f"c{number}" for number in range(size)]
    return decisions, float(((probability - leaves) * value).sum())


def test_what_is_saved_is_the_held_out_increment_of_the_treated_in_value() -> None:
    row = _money(_decide("treated", [True] * 8 + [False] * 2), _decide("holdout", [True] * 5 + [False] * 5))
    shown = {name: row[name] for name in ("count_treated", "increment", "saved", "spent", "net", "return_on_spend")}
    assert shown == pytest.approx(
        {"count_treated": 10, "increment": 0.3, "saved": 300, "spent": 20, "net": 280, "return_on_spend": 15}
    )


def test_only_customers_who_do_not_come_back_are_a_loss_that_can_be_saved() -> None:
    parts = _decide("treated", [True] * 10), _decide("holdout", [True] * 5 + [False] * 5)
    assert _money(*parts, loss_share=0.2)["saved"] == pytest.approx(0.2 * _money(*parts)["saved"])


def test_the_held_out_who_happen_to_be_small_customers_do_not_make_the_interval_narrow() -> None:
    worth = [100.0] * 12 + [10.0] * 48
    treated = _decide("treated", ([False] * 6 + [True] * 6 + [False] * 24 + [True] * 24) * 5, value_from_now=worth * 5)
    rich, poor = (
        _decide("holdout", [False] * 3 + [True] * 3, value_from_now=value) for value in (100.0, [10.0] * 3 + [11.0] * 3)
    )
    widths = [row["saved_high"] - row["saved_low"] for row in (_money(treated, rich), _money(treated, poor))]
    assert widths[1] > 0.3 * widths[0]


def test_holding_out_costs_what_treating_would_have_saved_less_its_price() -> None:
    row = _money(_decide("treated", [True] * 20), _decide("holdout", [True] * 5 + [False] * 5))
    assert row["holdout_cost"] == pytest.approx(10 * (0.5 * 100 - 2))


def test_who_was_held_back_by_exploration_counts_as_part_of_the_plan() -> None:
    row = _money(
        _decide("treated", [True] * 10),
        _decide("control", [False] * 10, cost=0.0),
        _decide("holdout", [True, False] * 5),
    )
    assert (row["count_treated"], row["increment"]) == pytest.approx((20, 0.0))


def test_what_is_not_known_yet_saves_nothing_and_its_money_is_named_apart() -> None:
    young = _decide("treated", [True] * 4, is_mature=False, customer_id=list("abcd")).assign(retained=None)
    row = _money(_decide("treated", [True] * 10), _decide("holdout", [True, False] * 5), young)
    assert (row["count_treated"], row["count_open"], row["spent"], row["spent_open"]) == (10, 4, 20.0, 8.0)


def test_money_without_anybody_held_out_is_unknown_and_not_nothing() -> None:
    row = _money(_decide("treated", [True] * 10))
    assert [row[name] for name in ("increment", "saved", "saved_low", "net", "return_on_spend", "holdout_cost")] == [
        None
    ] * 6


def test_the_rows_are_all_decisions_then_tiers_strategies_and_groups() -> None:
    other = _decide("treated", [True, False], planned_strategy_id="call", customer_id=["x", "y"], value_tier="normal")
    money = measure_money(
        pd.concat([_decide("treated", [True] * 3), _decide("holdout", [True] * 3), other]), confidence=0.95
    )
    assert list(money.columns) == list(COLUMNS)
    assert list(zip(money["scope"], money["name"], strict=True)) == [
        ("all", "all"), ("value_tier", "gold"), ("value_tier", "normal"), ("strategy", "call"), ("strategy", "voucher"),
        ("group", "gold"),
    ]  # fmt: skip


def test_the_interval_holds_what_was_truly_saved_as_often_as_it_claims() -> None:
    misses = 0
    for seed in range(80):
        decisions, truth = _draw(seed)
        row = _money(decisions, confidence=0.90)
        misses += not row["saved_low"] <= truth <= row["saved_high"]
    assert 0.02 <= misses / 80 <= 0.20


def test_the_score_of_before_narrows_the_interval() -> None:
    decisions, _ = _draw(0)
    blind = _money(decisions.assign(probability=0.5, value_from_now=decisions["value_from_now"].mean()))
    knowing = _money(decisions.assign(value_from_now=decisions["value_from_now"].mean()))
    assert knowing["increment_high"] - knowing["increment_low"] < 0.97 * (
        blind["increment_high"] - blind["increment_low"]
    )


def test_harm_is_listed_in_money_and_certain_where_the_whole_interval_of_enough_decisions_is_a_loss() -> None:
    bad = [_decide("treated", [False] * 60 + [True] * 40), _decide("holdout", [True] * 60 + [False] * 40)]
    doubtful = [_decide("treated", [True, False]), _decide("holdout", [True, True, False])]
    doubtful = [part.assign(planned_strategy_id="call", customer_id=part["customer_id"] + "call") for part in doubtful]
    money = measure_money(pd.concat([*bad, *doubtful]), confidence=0.95)
    harms = list_harms(money, fewest=100)
    strategies = harms.loc[harms["scope"] == "strategy"]
    assert strategies[["name", "is_certain"]].to_numpy().tolist() == [["voucher", True], ["call", False]]
    assert strategies["harm"].tolist() == pytest.approx([2000, 2 * 100 * (2 / 3 - 1 / 2)])
    assert not list_harms(money, fewest=101).loc[strategies.index, "is_certain"].any()
