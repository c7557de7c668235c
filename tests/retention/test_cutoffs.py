from datetime import date

import numpy as np
import pandas as pd
import pytest

from company.policy import Policy, load_policy
from company.policy.units import LEVELS
from retention.deciding.cutoffs import NOBODY, History, choose_cutoffs, read_lines
from retention.deciding.tiers import assign

EVERYBODY = dict.fromkeys(LEVELS, 1.0)


def history(*, customers: int = 4000, value: float = 400.0, seed: int = 0) -> History:
    """Return calibrated scores of two days, most of them low."""
    random = np.random.default_rng(seed)
    probability = random.beta(0.6, 4.0, customers)
    rows = pd.DataFrame(
        {
            "as_of": np.where(np.arange(customers) % 2, date(2024, 1, 1), date(2024, 2, 1)),
            "probability": probability,
            "churned": random.random(customers) < probability,
            "value_from_now": value,
        }
    )
    return History.from_rows(rows)


def policy(**cutoffs: object) -> Policy:
    return load_policy({"cutoffs": cutoffs})


def net_of(scores: History, line: float, *, cost: float, effect: float) -> float:
    """Sum up customer by customer."""
    rows = zip(scores.score, scores.churned, scores.value, strict=True)
    return sum(effect * value * left - cost for score, left, value in rows if score >= line) / scores.days


def test_without_a_limit_a_line_is_the_one_that_would_have_paid_most() -> None:
    scores, terms = history(), policy(capacity=EVERYBODY)
    found = choose_cutoffs(scores, terms).set_index(["policy", "level"])
    best = max(net_of(scores, line, cost=4.0, effect=0.1) for line in range(1, 100))
    assert found.loc[("cutoffs", "high"), "limited_by"] == "money"
    assert found.loc[("cutoffs", "high"), "net"] == pytest.approx(best)


def test_figures_of_a_line_are_those_of_a_day_of_everybody_on_or_above_it() -> None:
    scores = history()
    row = choose_cutoffs(scores, policy()).set_index(["policy", "level"]).loc[("tiers", "medium")]
    above = scores.score >= 50
    left = int(scores.churned[above].sum())
    assert (row["line"], row["customers"], row["leavers"]) == (50, above.sum() / 2, left / 2)
    assert row["false_alarms"] == (above.sum() - left) / 2
    assert row["share_of_leavers"] == left / scores.churned.sum()
    assert (row["cost"], row["saved"]) == (pytest.approx(4.0 * above.sum() / 2), pytest.approx(0.1 * 400 * left / 2))


def test_capacity_lifts_a_line_until_the_customers_above_it_fit() -> None:
    scores = history()
    found = choose_cutoffs(scores, policy(capacity={"high": 0.01, "medium": 0.03, "low": 0.08})).head(3)
    assert found["limited_by"].tolist() == ["capacity"] * 3
    assert (found["customers"] <= np.array([0.01, 0.03, 0.08]) * 2000).all()
    assert found["line"].is_monotonic_decreasing
    assert (scores.score >= found["line"].iloc[0] - 1).mean() > 0.01


def test_a_response_that_never_pays_has_no_line() -> None:
    found = choose_cutoffs(history(value=1.0), policy(channels=dict.fromkeys(LEVELS, "agent")))
    assert found.head(3)[["line", "customers", "limited_by"]].to_numpy().tolist() == [[NOBODY, 0.0, "never_pays"]] * 3


def test_a_dear_strong_response_pulls_no_weaker_line_above_its_own() -> None:
    terms = policy(capacity={"high": 1.0, "medium": 0.001, "low": 1.0})
    lines = choose_cutoffs(history(), terms).head(3)["line"].tolist()
    assert lines == sorted(lines, reverse=True)


def test_an_unknown_value_counts_as_nothing() -> None:
    rows = pd.DataFrame(
        {"as_of": [date(2024, 1, 1)] * 2, "probability": [0.9, 0.8], "churned": True, "value_from_now": [None, -5.0]}
    )
    assert History.from_rows(rows).value.tolist() == [0.0, 0.0]


def test_a_line_counts_what_is_really_kept() -> None:
    rows = pd.DataFrame({"as_of": ["2026-01-01"] * 2, "probability": [0.9, 0.5], "churned": [True, False]})
    kept = History.from_rows(rows.assign(value_from_now=400.0), kept_share=0.25)
    assert choose_cutoffs(kept, policy()).set_index(["policy", "level"]).loc[("tiers", "medium"), "saved"] == (
        pytest.approx(0.1 * 0.25 * 400)
    )


def test_the_chosen_lines_give_the_levels_and_leave_tiers_as_they_are() -> None:
    scores = pd.DataFrame({"customer_id": list("abcd"), "score": [42.0, 30.0, 12.0, 3.0]})
    found = assign(scores, load_policy(), cutoffs={"high": 40.0, "medium": 30.0, "low": 10.0})
    assert found["level"].tolist() == ["high", "medium", "low", "none"]
    assert found["tier"].tolist() == ["low"] * 4


def test_nobody_is_alerted_where_no_response_pays() -> None:
    lines = read_lines(choose_cutoffs(history(value=1.0), policy(channels=dict.fromkeys(LEVELS, "agent"))))
    found = assign(pd.DataFrame({"customer_id": ["a"], "score": [100.0]}), load_policy(), cutoffs=lines)
    assert (lines, found["level"].tolist()) == ({}, ["none"])


def test_without_a_history_the_tiers_decide() -> None:
    scores = pd.DataFrame({"customer_id": list("abc"), "score": [85.0, 55.0, 45.0]})
    assert assign(scores, load_policy())["level"].tolist() == ["high", "medium", "none"]


def test_the_table_gives_the_lines_back() -> None:
    found = choose_cutoffs(history(), policy())
    assert read_lines(found) == dict(zip(LEVELS, found.head(3)["line"], strict=True))
