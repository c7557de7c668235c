"""What to test next: the expected value of knowing a strategy's effect."""

from typing import Any

import numpy as np
import pytest

from retention.deciding.allocation import Limit
from retention.deciding.information import price_information
from retention.deciding.options import Options


def _options(expected: list[list[float]], deviations: list[list[float]]) -> Options:
    values = np.array(expected)
    pairs = [(name, "email") for name in ("a", "b", "c")[: values.shape[1]]]
    closed = np.zeros(len(values), dtype=bool)
    return Options(
        columns=pairs, expected=values, effects=values, deviations=np.array(deviations), costs=np.ones(len(pairs)),
        is_profitable=values > 0, is_probing=values > np.inf, harmed=closed,
    )  # fmt: skip


def _price(options: Options, limits: Any = (), prices: Any = ()) -> dict[str, float]:  # noqa: ANN401
    table = price_information(options, limits, np.array(prices))
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["value_of_information"].is_monotonic_decreasing
    return dict(zip(table["strategy_id"], table["value_of_information"], strict=True))


def test_the_value_is_what_choosing_after_the_answer_brings_in_simulated_answers() -> None:
    options = _options([[3.0, 2.0], [-1.0, np.nan]], [[4.0, 1.0], [2.0, 0.0]])
    drawn = np.random.default_rng(0).normal(size=400_000)
    after = np.maximum(3.0 + 4.0 * drawn, 2.0) - 3.0, np.maximum(-1.0 + 2.0 * drawn, 0.0)
    assert _price(options)["a"] == pytest.approx(sum(each.mean() for each in after), rel=0.01)


def test_a_strategy_whose_choice_no_answer_changes_is_not_the_one_to_test() -> None:
    found = _price(_options([[100.0, 1.0, 0.9]], [[5.0, 5.0, 0.0]]))
    assert found == pytest.approx({"a": 0.0, "b": 0.0, "c": 0.0}, abs=1e-9)
    assert next(iter(_price(_options([[2.0, 1.0, 0.9]], [[1.0, 5.0, 0.0]])))) == "b"


def test_a_scarce_limit_counts_as_a_cost() -> None:
    options = _options([[3.0]], [[1.0]])
    limit = Limit(name="channel: email", amount=1.0, uses=np.ones(1))
    assert _price(options, [limit], [3.0])["a"] == pytest.approx(1 / np.sqrt(2 * np.pi))
    assert _price(options, [limit], [0.0])["a"] < 0.001


def test_no_option_asks_for_no_test() -> None:
    assert price_information(_options([[np.nan]], [[0.0]]), (), np.empty(0))["value_of_information"].tolist() == [0.0]
