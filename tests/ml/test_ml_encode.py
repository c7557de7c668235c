import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import Floats
from ml.encode import Encoder, find_totals


def cities(*, tells: bool, seed: int = 0) -> tuple[pa.Table, Floats]:
    """Twenty cities of a hundred customers; where the city tells, half of the cities lose four times as many."""
    draw = np.random.default_rng(seed)
    city = np.repeat(np.arange(20), 100)
    rate = np.where(city % 2, 0.4, 0.1) if tells else np.full(2000, 0.25)
    table = pa.table({"city": [f"city {number}" for number in city], "age": draw.normal(size=2000)})
    return table, (draw.random(2000) < rate).astype(float)


def test_a_column_of_many_levels_becomes_one_number_near_the_log_odds_of_its_level() -> None:
    table, label = cities(tells=True)

    encoder, _ = Encoder.learn_and_encode(table, ["city", "age"], label)

    found = encoder.encode(table)
    rate = 1 / (1 + np.exp(-found[:, 0]))
    assert found.shape == (2000, 2)
    assert rate[100:200].mean() == pytest.approx(0.4, abs=0.1)
    assert rate[:100].mean() == pytest.approx(0.1, abs=0.1)


def test_levels_that_tell_nothing_are_all_rated_alike() -> None:
    table, label = cities(tells=False)

    encoder, _ = Encoder.learn_and_encode(table, ["city"], label)

    assert encoder.encode(table)[:, 0].std() < 0.1


def test_a_training_row_is_rated_without_its_own_label() -> None:
    _, label = cities(tells=False)
    unique = pa.table({"city": [f"city {number // 10}" for number in range(1000)]})

    _, matrix = Encoder.learn_and_encode(unique, ["city"], label[:1000])

    assert np.corrcoef(matrix[:, 0], label[:1000])[0, 1] < 0.05


def test_an_unseen_or_missing_level_is_rated_like_everybody() -> None:
    table, label = cities(tells=True)
    encoder, _ = Encoder.learn_and_encode(table, ["city"], label)

    found = encoder.encode(pa.table({"city": pa.array(["never seen", None])}))

    rate = label.mean()
    np.testing.assert_allclose(found[:, 0], np.log(rate / (1 - rate)), rtol=1e-5)


def test_an_encoder_read_back_encodes_alike() -> None:
    table, label = cities(tells=True)
    encoder, _ = Encoder.learn_and_encode(table, ["city", "age"], label)

    again = Encoder.restore(encoder.state())

    assert again == encoder


def test_columns_that_name_parts_of_one_whole_are_totalled_and_windows_are_not() -> None:
    names = [
        "total_day_charge", "total_night_charge", "total_abroad_charge", "total_day_calls", "total_night_calls",
        "count_7d_orders", "count_30d_orders", "count_90d_orders", "mean_day_charge", "mean_night_charge",
        "mean_abroad_charge",
    ]  # fmt: skip

    assert find_totals(names) == (("total_day_charge", "total_night_charge", "total_abroad_charge"),)


def test_a_total_is_the_sum_and_what_it_adds_is_shared_among_its_parts() -> None:
    table = pa.table({"amount_day_paid": [1.0, 2.0], "amount_night_paid": [3.0, 4.0], "amount_noon_paid": [5.0, 6.0]})
    encoder = Encoder.learn(table, table.column_names)

    assert encoder.encode(table).tolist() == [[1.0, 3.0, 5.0, 9.0], [2.0, 4.0, 6.0, 12.0]]
    assert encoder.attribute(np.array([[0.1, 0.2, 0.3, 0.6]])).tolist() == [pytest.approx([0.3, 0.4, 0.5])]
