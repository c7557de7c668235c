"""The life of strategies: moved by evidence, one month at a time, and by people."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from retention.measuring.guardrails import WORSE
from retention.measuring.lifecycle import REASONS, Review, State, break_evens, decide, is_due, keep_active, review
from retention.store.store import Store

if TYPE_CHECKING:
    from retention.deciding.strategies import Strategy

Make = Callable[..., "Strategy"]
AT = datetime(2026, 1, 1, tzinfo=UTC)
NEEDS = {"all": 0.01, "voucher": 0.01, "call": 0.01}


def _effects(**rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Return a verdict, difference, low and high per strategy."""
    return pd.DataFrame(
        [
            {
                "strategy_id": name, "verdict": verdict, "difference": value, "difference_low": low,
                "difference_high": high, "n_treated": 900, "n_holdout": 100, "is_below_floor": False, "is_latest": True,
            }
            for name, (verdict, value, low, high) in rows.items()
        ]
    )  # fmt: skip


HARMS, WORKS = ("harms", -0.05, -0.08, -0.02), ("works", 0.05, 0.02, 0.08)
CANNOT_PAY, MAY_PAY = ("no_effect_found", 0.0, -0.005, 0.005), ("no_effect_found", 0.01, -0.02, 0.04)
UNKNOWN, NO_SAMPLE = ("insufficient", 0.01, -0.2, 0.2), ("insufficient", -0.01, -0.2, 0.2)


def _live(*months: tuple[str, float, float, float], past: list[Review] | None = None) -> list[Review]:
    """Return the reviews of one strategy, month after month."""
    past = list(past or [])
    for number, figures in enumerate(months):
        past += review(_effects(voucher=figures), NEEDS, past, broken={}, as_of=date(2026, 1 + number, 1), at=AT)
    return past


def _states(reviews: list[Review]) -> list[tuple[State, str]]:
    return [(each.state, each.suggestion) for each in reviews]


@pytest.mark.parametrize(
    ("months", "states"),
    [
        ([HARMS], [("retired", "change")]),
        ([WORKS, WORKS], [("live", "widen"), ("live", "widen")]),
        ([CANNOT_PAY, CANNOT_PAY], [("watch", "change"), ("retired", "change")]),
        ([CANNOT_PAY, WORKS], [("watch", "change"), ("live", "widen")]),
        ([CANNOT_PAY, MAY_PAY], [("watch", "change"), ("watch", "")]),
        ([MAY_PAY, UNKNOWN], [("live", ""), ("live", "")]),
        ([HARMS, WORKS], [("retired", "change"), ("retired", "")]),
    ],
)
def test_a_strategy_moves_by_the_evidence_of_its_months(months: list[Any], states: list[tuple[State, str]]) -> None:
    assert _states(_live(*months)) == states


def test_what_only_all_together_can_tell_retires_whoever_does_not_do_better() -> None:
    effects = _effects(all=HARMS, voucher=NO_SAMPLE, call=UNKNOWN)
    found = review(effects, NEEDS, [], broken={}, as_of=date(2026, 1, 1), at=AT)
    assert {each.strategy_id: (each.state, each.reason) for each in found} == {
        "voucher": ("retired", "harms_together"),
        "call": ("live", "no_verdict"),
    }


def test_a_comparison_that_cannot_be_trusted_moves_nothing() -> None:
    (found,) = _live(("blocked", -0.05, -0.08, -0.02))
    assert (found.state, found.reason, found.verdict) == ("live", "no_verdict", "blocked")


def test_a_strategy_below_the_floor_is_watched_for_a_month_and_then_retired() -> None:
    effects = _effects(voucher=WORKS).assign(is_below_floor=True)
    first = review(effects, NEEDS, [], broken={}, as_of=date(2026, 1, 1), at=AT)
    second = review(effects, NEEDS, first, broken={}, as_of=date(2026, 2, 1), at=AT)
    assert [each.state for each in (*first, *second)] == ["watch", "retired"]
    assert second[0].months == 2


def test_a_state_of_a_person_stays_until_it_is_released() -> None:
    day = date(2026, 1, 1)
    held = [decide([], "voucher", "live", as_of=day, by="Ann", note="a test", at=AT)]
    kept = _live(HARMS, past=held)
    assert _states(kept)[-1] == ("live", "retire")
    released = [*kept, decide(kept, "voucher", None, as_of=day, by="Ann", note="enough", at=AT)]
    assert _states(_live(HARMS, past=released))[-1] == ("retired", "change")


def test_a_state_without_a_person_is_refused() -> None:
    with pytest.raises(ValueError, match="--by and --reason"):
        decide([], "voucher", "retired", as_of=date(2026, 1, 1), by=" ", note="a test", at=AT)


def test_drafts_and_the_retired_are_in_no_plan_from_their_day_on(make_strategy: Make) -> None:
    strategies = [make_strategy(), make_strategy("call")]
    reviews = _live(HARMS)
    active = {
        day: [each.id for each in keep_active(strategies, reviews, as_of=day)]
        for day in (date(2025, 12, 31), date(2026, 1, 1))
    }
    assert active == {date(2025, 12, 31): ["voucher", "call"], date(2026, 1, 1): ["call"]}


def test_a_strategy_that_breaks_a_guardrail_is_retired_though_it_keeps_customers() -> None:
    effects = pd.concat([_effects(voucher=WORKS, call=WORKS), _effects(mail=WORKS).assign(verdict="blocked")])
    broken = {"voucher": "complaints", "mail": "margin"}
    found = review(effects, NEEDS, [], broken=broken, as_of=date(2026, 1, 1), at=AT)
    assert [(each.strategy_id, each.state, each.reason) for each in found] == [
        ("voucher", "retired", "breaks_complaints"),
        ("call", "live", "works"),
        ("mail", "live", "no_verdict"),
    ]
    assert {f"breaks_{name}" for name in WORSE} <= REASONS.keys()


def test_a_month_is_reviewed_once_and_no_earlier_one_after_it() -> None:
    past = _live(MAY_PAY, MAY_PAY)
    days = [date(2026, 1, 20), date(2026, 2, 28), date(2026, 3, 1)]
    assert [is_due(past, as_of=day) for day in days] == [False, False, True]


def test_a_treatment_pays_where_what_it_keeps_is_worth_its_cost() -> None:
    outcomes = pd.DataFrame(
        [("voucher", "treated", 4.0, 100.0), ("voucher", "holdout", 0.0, 300.0), ("voucher", "treated", 9.0, None)],
        columns=["strategy_id", "arm", "cost", "value_from_now"],
    )
    assert break_evens(outcomes) == pytest.approx({"voucher": 4 / 200, "all": 4 / 200})
    assert break_evens(outcomes, kept_share=0.5)["all"] == pytest.approx(4 / 100)
    assert break_evens(outcomes, felt=np.array([2.0, 1.0, 2.0]))["all"] == pytest.approx(4 / 250)


def test_reviews_are_kept_in_their_order(store: Store) -> None:
    made = [
        *_live(CANNOT_PAY, CANNOT_PAY),
        decide([], "call", "draft", as_of=date(2026, 1, 1), by="Ann", note="not yet", at=AT),
    ]
    numbered = store.strategy_reviews.record(made)
    assert [each.number for each in numbered] == [1, 2, 3]
    assert store.strategy_reviews.read() == numbered
