from dataclasses import replace
from datetime import date, timedelta
from math import inf

import numpy as np
import pytest

from company.policy import load_policy
from retention.measuring.estimates import Estimate
from retention.measuring.sequential import (
    conditional_power,
    find_bounds,
    full_information,
    inflation,
    reach_of_band,
    spend,
    widen,
)
from retention.measuring.trials import Trial, foretell

ASKED = load_policy().outcomes
EVEN = tuple((look + 1) / 5 for look in range(5))


def test_the_bounds_are_those_of_published_software() -> None:
    # R package gsDesign, gsDesign(k=5, test.type=2, alpha=.025, sfu=sfLDOF)$upper$bound
    assert find_bounds(EVEN, confidence=0.95) == pytest.approx((4.8769, 3.3570, 2.6803, 2.2898, 2.0310), abs=5e-5)


def test_two_looks_have_the_bounds_of_published_software() -> None:
    assert find_bounds((0.5, 1.0), confidence=0.95) == pytest.approx((2.9626, 1.9686), abs=5e-5)


def test_one_look_at_the_full_information_is_an_ordinary_test() -> None:
    assert find_bounds((1.0,), confidence=0.95)[0] == pytest.approx(1.959964, abs=1e-6)


def test_what_is_spent_rises_to_all_there_is_and_no_further() -> None:
    spent = [spend(fraction, alpha=0.025) for fraction in (0.0, 0.1, 0.5, 1.0, 1.7)]
    assert spent == sorted(spent)
    assert (spent[0], spent[-2], spent[-1]) == (0.0, pytest.approx(0.025), pytest.approx(0.025))


def test_all_looks_together_raise_as_many_false_alarms_as_allowed() -> None:
    fractions = np.array([0.03, 0.1, 0.11, 0.4, 0.43, 0.8, 1.3])
    steps = np.sqrt(np.diff(fractions, prepend=0.0)) * np.random.default_rng(1).normal(size=(200_000, 7))
    seen = np.abs(steps.cumsum(axis=1) / np.sqrt(fractions))
    alarms = (seen > np.array(find_bounds(tuple(fractions), confidence=0.95))).any(axis=1).mean()
    assert alarms == pytest.approx(0.05, abs=0.002)


def test_looks_that_bring_nothing_new_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must rise by 0\.001"):
        find_bounds((0.5, 0.5), confidence=0.95)


def test_many_looks_need_little_more_than_one() -> None:
    # Jennison & Turnbull, Group Sequential Methods, table 7.6 and gsDesign: 1.02 to 1.04 for this spending
    assert inflation(1, confidence=0.95, power=0.8) == pytest.approx(1.0, abs=1e-3)
    assert 1.01 < inflation(5, confidence=0.95, power=0.8) < inflation(12, confidence=0.95, power=0.8) < 1.05


def test_the_full_information_is_the_textbook_one() -> None:
    assert full_information(0.1, confidence=0.95, power=0.8) == pytest.approx(784.9, abs=0.05)


def test_the_band_holds_on_all_days_at_once() -> None:
    days = np.arange(1, 1001)
    means = np.random.default_rng(2).normal(size=(2000, 1000)).cumsum(axis=1) / days
    reach = np.array([reach_of_band(float(day), confidence=0.95, mixing=0.1) / day**0.5 for day in days])
    assert (np.abs(means) > reach).any(axis=1).mean() < 0.05
    assert (np.abs(means) > 1.96 / days**0.5).any(axis=1).mean() > 0.3


def test_the_chance_to_find_an_effect_falls_where_half_of_the_trial_saw_none() -> None:
    drift = 2.8
    chances = [conditional_power(z, 0.5, drift=drift, bound=1.97) for z in (-1.0, 0.0, 2.0)]
    assert chances == sorted(chances)
    # half of the drift is still to come, with half of the variance: Phi((1.4 - 1.97) / sqrt(0.5))
    assert chances[1] == pytest.approx(0.2101, abs=1e-4)


def _estimate(trial: Trial, *, z: float, share: float, error: float = 0.01) -> Estimate:
    """Return an estimate from arms that have so much of the full information where half of the customers stay."""
    size = round(share * trial.full * 2 * (0.25 - (ASKED.smallest_effect / 2) ** 2))
    return Estimate(value=z * error, error=error, sizes=(size, size), mean=0.5)


@pytest.mark.parametrize(("retention", "holdout_share"), [(0.6, 0.5), (0.9, 0.1), (0.9, 0.5)])
def test_the_needed_sample_is_the_full_information_if_the_smallest_effect_is_there(
    retention: float, holdout_share: float
) -> None:
    trial = Trial.begin(ASKED)
    treated, untreated = trial.needed_sample(retention, holdout_share=holdout_share)
    mean = retention + ASKED.smallest_effect * treated / (treated + untreated)
    shares = [
        trial.share_of(Estimate(value=0.0, error=error, sizes=(treated, untreated), mean=mean))
        for error in (0.001, 0.1)  # however little the untreated happen to vary
    ]
    assert shares == pytest.approx([1.0, 1.0], abs=0.01)


def test_repeated_customers_and_a_score_that_explains_move_the_information() -> None:
    trial = Trial.begin(ASKED)
    plain = Estimate(value=0.0, error=0.01, sizes=(500, 500), mean=0.5)
    shares = [trial.share_of(each) for each in (plain, replace(plain, widening=2.0), replace(plain, explained=0.5))]
    assert shares == pytest.approx([shares[0], shares[0] / 2, shares[0] * 2])


def test_few_untreated_move_the_bounds_away() -> None:
    # quantiles of Student's t: 2.2281 with ten degrees of freedom, 1.9840 with a hundred
    reached = [widen(1.959964, freedom=freedom) for freedom in (10, 100, inf)]
    assert reached == pytest.approx([2.2281, 1.9840, 1.959964], abs=1e-4)


@pytest.mark.parametrize(
    ("z", "share", "verdict"),
    [
        (3.0, 0.3, "insufficient"),
        (4.5, 0.3, "works"),
        (-4.5, 0.3, "harms"),
        (0.0, 0.3, "insufficient"),
        (0.0, 0.8, "no_effect_found"),
        (1.5, 1.0, "no_effect_found"),
        (2.1, 1.0, "works"),
        (-2.1, 1.4, "harms"),
    ],
)
def test_a_look_comes_to_a_verdict_when_its_bound_is_crossed_or_nothing_is_left_to_find(
    z: float, share: float, verdict: str
) -> None:
    trial = Trial.begin(ASKED)
    seen = trial.look(_estimate(trial, z=z, share=share), date(2025, 2, 1))
    assert (seen.verdict, seen.decided_on) == (verdict, None if verdict == "insufficient" else date(2025, 2, 1))


def test_there_is_no_look_after_the_verdict_and_none_without_news() -> None:
    trial = Trial.begin(ASKED)
    half, more = (_estimate(trial, z=5.0, share=share) for share in (0.5, 0.6))
    seen = trial.look(_estimate(trial, z=1.0, share=0.5), date(2025, 2, 1))
    assert (trial.is_look(half), seen.is_look(half), seen.is_look(more)) == (True, False, True)
    assert not seen.look(more, date(2025, 3, 1)).is_look(_estimate(trial, z=5.0, share=0.9))


DAYS = [date(2025, 1, 1) + timedelta(days=day) for day in range(10)]
MONTH = timedelta(days=30)


@pytest.mark.parametrize(
    ("decided", "needed", "until", "told"),
    [
        (DAYS, 8, None, date(2025, 3, 1)),  # the eighth is of 8 January, over on 7 February
        (DAYS, 100, None, date(2025, 6, 1)),  # one a day: 90 more by 10 April, over on 10 May
        (DAYS, 100, date(2025, 3, 1), None),
        ([DAYS[0]] * 5, 100, None, None),
        ([], 100, None, None),
        (DAYS, 10**9, None, None),
    ],
)
def test_the_day_when_it_can_be_told_follows_from_the_rate_seen(
    decided: list[date], needed: int, until: date | None, told: date | None
) -> None:
    assert foretell(decided, needed, matures_after=MONTH, today=DAYS[-1], until=until) == told


def test_a_decision_over_on_the_first_of_a_month_counts_on_that_day() -> None:
    told = foretell([date(2025, 1, 2)], 1, matures_after=MONTH, today=DAYS[-1], until=None)
    assert told == date(2025, 2, 1)


def test_a_strategy_that_chooses_nobody_any_more_moves_the_day_away() -> None:
    told = [
        foretell(DAYS, 100, matures_after=MONTH, today=today, until=None)
        for today in (date(2025, 1, 10), date(2025, 7, 10))
    ]
    assert told == [date(2025, 6, 1), date(2025, 12, 1)]


def test_a_small_holdout_needs_many_more_treated() -> None:
    trial = Trial.begin(ASKED)
    treated, untreated = trial.needed_sample(0.6, holdout_share=0.1)
    equal = trial.needed_sample(0.6, holdout_share=0.5)[1]
    assert treated == pytest.approx(9 * untreated, rel=0.02)
    assert equal / 2 < untreated < equal


def test_the_sample_is_that_of_the_textbook_with_a_little_for_looking_more_than_once() -> None:
    # Fleiss, Statistical Methods for Rates and Proportions: 0.60 against 0.70, alpha 0.05, power 0.80 -> 356 each
    asked = load_policy({"outcomes": {"smallest_effect": 0.10}}).outcomes
    sample = Trial.begin(asked).needed_sample(0.60, holdout_share=0.5)
    assert sample[0] == sample[1] == pytest.approx(356 * 1.04, abs=4)
