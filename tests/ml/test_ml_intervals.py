import numpy as np
import pytest

from ml.dataset import Floats
from ml.evaluate import Bin, EvaluationError, Profit, ProfitTerms, evaluate, intervals, profit, reliability

LABEL = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
PROBABILITY = np.array([0.1, 0.2, 0.2, 0.4, 0.6, 0.9])


def draw(rows: int = 4000, seed: int = 0) -> tuple[Floats, Floats]:
    """Labels drawn from the very probabilities that are stated."""
    random = np.random.default_rng(seed)
    probability = random.beta(1, 5, rows)
    return (random.random(rows) < probability).astype(float), probability


def test_the_middle_of_an_interval_is_the_figure_that_evaluation_states() -> None:
    label, probability = draw()
    probability = probability.round(2)  # ties

    shown = evaluate(label, probability).as_dict()

    found = {name: each.value for name, each in intervals(label, probability, draws=20).items()}
    assert found == {name: pytest.approx(shown[name], abs=1e-9) for name in found}


def test_intervals_hold_the_figure_of_a_larger_sample_of_the_same_world_about_as_often_as_they_say() -> None:
    truth = evaluate(*draw(rows=200_000, seed=99)).auc

    drawn = [intervals(*draw(rows=800, seed=seed), draws=100)["auc"] for seed in range(40)]

    assert sum(each.low <= truth <= each.high for each in drawn) >= 34


def test_the_calibration_error_of_calibrated_scores_is_not_claimed_to_be_above_chance() -> None:
    found = intervals(*draw(rows=1500), draws=200)["ece"]

    assert found.low < 0.005
    assert found.low < found.value < found.high


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert intervals(*draw(500), seed=3, draws=30) == intervals(*draw(500), seed=3, draws=30)


def test_intervals_without_both_outcomes_are_refused() -> None:
    with pytest.raises(EvaluationError, match="both outcomes must occur"):
        intervals(np.zeros(5), np.full(5, 0.5))


def test_a_weight_of_two_counts_like_the_row_twice() -> None:
    twice = np.append(np.arange(6), [1, 4])
    weight = np.array([1.0, 2.0, 1.0, 1.0, 2.0, 1.0])

    weighed = evaluate(LABEL, PROBABILITY, capacity=0.5, bins=1, weight=weight).as_dict()

    repeated = evaluate(LABEL[twice], PROBABILITY[twice], capacity=0.5, bins=1).as_dict()
    assert weighed == {**{name: pytest.approx(value) for name, value in repeated.items()}, "n": 6}


def test_the_reliability_curve_gives_each_bin_its_rate_with_wilsons_interval() -> None:
    label, probability = np.repeat([0.0, 1.0, 0.0, 1.0], [9, 1, 5, 5]), np.repeat([0.1, 0.5], 10)

    assert reliability(label, probability, bins=2) == (
        Bin(10, pytest.approx(0.1), 0.1, pytest.approx(0.0179, abs=1e-4), pytest.approx(0.4042, abs=1e-4)),
        Bin(10, pytest.approx(0.5), 0.5, pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4)),
    )


def test_profit_counts_the_contacts_that_pay_by_what_really_happened() -> None:
    terms = ProfitTerms(contact_cost=10.0, effect=0.25)

    found = profit(LABEL, PROBABILITY, np.full(6, 100.0), terms=terms)

    # contacted: expected saving 25 p above 10, so p > 0.4: the last two, both churners
    assert found == Profit(
        contacted=pytest.approx(2 / 6),
        mean_value=100.0,
        per_thousand=pytest.approx(1000 / 6 * (2 * 25 - 2 * 10)),
        per_thousand_all=pytest.approx(1000 / 6 * (3 * 25 - 6 * 10)),
        expected_per_thousand=pytest.approx(1000 / 6 * (1.5 * 25 - 2 * 10)),
    )


def test_capacity_bounds_the_contacts_and_the_likeliest_come_first() -> None:
    terms = ProfitTerms(contact_cost=1.0, effect=0.5)

    found = profit(LABEL, PROBABILITY, np.full(6, 100.0), terms=terms, capacity=0.2)

    assert (found.contacted, found.expected_per_thousand) == pytest.approx((1 / 6, 1000 / 6 * (0.9 * 50 - 1)))


@pytest.mark.parametrize(("capacity", "room", "is_full"), [(0.1, 20, True), (0.75, 150, False)])
def test_profit_counts_each_customer_at_their_own_value(capacity: float, room: int, *, is_full: bool) -> None:
    draw = np.random.default_rng(7)
    probability, value = draw.random(200), draw.lognormal(5, 1.5, 200) - 50
    value[:20] = np.nan
    label = (draw.random(200) < probability).astype(float)
    terms = ProfitTerms(contact_cost=4.0, effect=0.1)

    found = profit(label, probability, value, terms=terms, capacity=capacity)

    customers = [(p, 0.0 if np.isnan(v) else max(v, 0.0), y) for p, v, y in zip(probability, value, label, strict=True)]
    best = sorted(customers, key=lambda one: one[0] * one[1], reverse=True)[:room]
    paying = [(p, v, y) for p, v, y in best if p * 0.1 * v > 4]
    assert (len(paying) == room) is is_full
    assert found == Profit(
        contacted=pytest.approx(len(paying) / 200),
        mean_value=pytest.approx(sum(v for _, v, _ in paying) / len(paying)),
        per_thousand=pytest.approx(5 * sum(y * 0.1 * v - 4 for _, v, y in paying)),
        per_thousand_all=pytest.approx(5 * sum(y * 0.1 * v - 4 for _, v, y in customers)),
        expected_per_thousand=pytest.approx(5 * sum(p * 0.1 * v - 4 for p, v, _ in paying)),
    )
