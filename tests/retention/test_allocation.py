"""Allocation against HiGHS on small companies, and its promises on any."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from retention.deciding.allocation import NOTHING, Limit, allocate

Floats = npt.NDArray[np.float64]


def _company(seed: int) -> tuple[Floats, list[Limit]]:
    random = np.random.default_rng(seed)
    count, columns = int(random.integers(80, 300)), int(random.integers(2, 8))
    values = random.lognormal(3, 1, count)[:, None] * random.uniform(-0.05, 0.3, (count, columns)) - 1
    values[random.random(values.shape) < 0.3] = -np.inf
    costs = random.uniform(0.1, 3, values.shape if seed % 2 else columns)
    groups = [(random.random(columns) < 0.5).astype(float) for _ in range(3)]
    places = [float(random.integers(0, count // 3 + 1)) for _ in groups]
    limits = [
        Limit(name=str(place), amount=most, uses=uses)
        for place, (most, uses) in enumerate(zip(places, groups, strict=True))
    ]
    return values, [Limit(name="budget", amount=float(random.uniform(20, count)), uses=costs), *limits]


def _optimum(values: Floats, limits: list[Limit]) -> float:
    """Return the value of the best choice, as HiGHS finds it."""
    rows, columns = np.nonzero(values > 0)
    ones, places = np.ones(len(rows)), np.arange(len(rows))
    one_each = csr_array((ones, (rows, places)), shape=(len(values), len(rows)))
    shared = np.array([np.broadcast_to(limit.uses, values.shape)[rows, columns] for limit in limits])
    most = [limit.amount for limit in limits]
    rules = [LinearConstraint(one_each, -np.inf, 1), LinearConstraint(shared, -np.inf, most)]
    found = milp(-values[rows, columns], constraints=rules, integrality=ones, bounds=Bounds(0, 1))
    return -float(found.fun)


@pytest.mark.parametrize("seed", range(12))
def test_a_choice_is_close_to_the_best_there_is_and_the_bound_lies_above_it(seed: int) -> None:
    values, limits = _company(seed)
    found, optimum = allocate(values, limits), _optimum(values, limits)
    assert 0.98 * optimum <= found.value <= optimum + 1e-6
    assert found.bound >= optimum - 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_no_limit_is_exceeded_and_the_value_is_that_of_the_choice(seed: int) -> None:
    values, limits = _company(seed)
    found = allocate(values, limits)
    rows = np.flatnonzero(found.chosen != NOTHING)
    chosen = found.chosen[rows]
    for limit, used in zip(limits, found.used, strict=True):
        assert used == pytest.approx(np.broadcast_to(limit.uses, values.shape)[rows, chosen].sum())
        assert used <= limit.amount + 1e-6
    assert found.value == pytest.approx(values[rows, chosen].sum())
    assert (values[rows, chosen] > 0).all()


def test_where_nothing_is_scarce_everybody_gets_their_best_and_nothing_has_a_price() -> None:
    values, limits = _company(1)
    ample = [Limit(name=limit.name, amount=1e9, uses=limit.uses) for limit in limits]
    found = allocate(values, ample)
    assert found.prices.tolist() == [0.0] * len(limits)
    assert [found.value, found.bound] == pytest.approx([np.maximum(values.max(axis=1), 0).sum()] * 2)


def test_a_price_is_what_one_more_of_a_limit_brings() -> None:
    values = np.arange(1.0, 101.0)[:, None]
    found = allocate(values, [Limit(name="places", amount=30.0, uses=np.ones(1))])
    assert np.flatnonzero(found.chosen == 0).tolist() == list(range(70, 100))
    assert 69 <= found.prices[0] <= 71
    assert found.value >= 0.995 * found.bound


def test_customers_who_are_all_alike_share_what_there_is() -> None:
    found = allocate(np.full((50, 3), 7.0), [Limit(name="places", amount=20.0, uses=np.ones(3))])
    assert (found.chosen != NOTHING).sum() == 20


def test_what_is_not_there_cannot_be_given() -> None:
    found = allocate(np.full((5, 2), 7.0), [Limit(name="places", amount=0.0, uses=np.array([1.0, 0.0]))])
    assert found.chosen.tolist() == [1] * 5


def test_rows_that_do_not_count_are_chosen_like_the_others_and_use_nothing() -> None:
    values = np.arange(1.0, 101.0)[:, None]
    counted = np.arange(100) % 5 != 0
    found = allocate(values, [Limit(name="places", amount=30.0, uses=np.ones(1))], counted=counted)
    first = int(np.flatnonzero(found.chosen == 0).min())
    assert (found.chosen[counted] == 0).sum() == found.used[0] == 30
    assert (found.chosen[first:] == 0).all()
    assert (found.chosen[:first] == NOTHING).all()


def test_costs_of_each_customer_are_read_in_the_rows_they_belong_to() -> None:
    counted = np.arange(60) >= 30
    costs = np.where(counted, 1.0, 50.0)[:, None]
    found = allocate(np.full((60, 1), 7.0), [Limit(name="budget", amount=20.0, uses=costs)], counted=counted)
    assert (found.chosen[counted] == 0).sum() == 20
    assert found.value >= 0.99 * found.bound


def test_nobody_and_nothing_to_choose_are_answered_too() -> None:
    limits = [Limit(name="places", amount=3.0, uses=np.ones(2))]
    assert allocate(np.empty((0, 2)), limits).chosen.tolist() == []
    assert allocate(np.empty((4, 0)), [Limit(name="places", amount=3.0, uses=np.ones(0))]).chosen.tolist() == [-1] * 4
    assert allocate(np.full((4, 2), np.nan), limits).value == 0
