"""The next purchase: a date for who likely buys, from the waits of others whose days are known."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from ml.forecasting.next_purchase import SCHEMA, SPAN_DAYS, Waits, forecast_purchases, learn_waits

DAY = date(2025, 6, 1)
SIZE = 2000


def make_history(*, shift: int = 0) -> pa.Table:
    """Return buyers on time, who buy again after half their gap, and silent ones, of whom one in ten does."""
    draw = np.random.default_rng(3)
    silent = np.arange(SIZE) % 2 == 0
    gap = draw.integers(10, 40, SIZE).astype(float)
    wait = np.where(silent & (draw.random(SIZE) < 0.9), 200, np.round(gap / 2)).astype(int) + shift
    return pa.table({
        "as_of": pa.array([DAY] * SIZE, pa.date32()), "recency_days": np.where(silent, 5 * gap, gap / 2),
        "median_gap_days": gap, "known_until": pa.array([DAY + timedelta(days=400)] * SIZE, pa.date32()),
        "next_order_date": pa.array([DAY + timedelta(days=int(each)) for each in wait], pa.date32()),
    })  # fmt: skip


def make_present() -> pa.Table:
    return pa.table({
        "customer_id": ["on time", "silent", "bought once"], "recency_days": [10.0, 100.0, 30.0],
        "median_gap_days": pa.array([20.0, 20.0, None], pa.float64()), "usual_category": ["tea", "tea", "tea"],
        "suggested_category": pa.array(["cake", None, None], pa.string()),
        "because_category": pa.array(["tea", None, None], pa.string()), "cross_sell_potential": [5.0, None, None],
    })  # fmt: skip


@pytest.fixture(scope="module")
def waits() -> Waits | None:
    return learn_waits(make_history(), until=DAY + timedelta(days=SPAN_DAYS))


def test_who_likely_buys_gets_a_date_and_who_does_not_gets_only_the_chance(waits: Waits | None) -> None:
    found = forecast_purchases(waits, make_present(), as_of=DAY)
    assert found.schema == SCHEMA
    rows = {row["customer_id"]: row for row in found.to_pylist()}
    assert abs((rows["on time"]["next_order_date"] - DAY).days - 10) <= 1
    assert rows["on time"]["order_chance_3m"] == 1.0
    assert rows["silent"]["next_order_date"] is None
    assert rows["silent"]["order_chance_3m"] == pytest.approx(0.1, abs=0.1)
    assert (rows["bought once"]["next_order_date"], rows["bought once"]["order_chance_3m"]) == (None, None)
    assert rows["on time"]["suggested_category"] == "cake"


def test_one_of_the_few_who_are_silent_far_longer_than_the_rest_is_not_expected_like_them() -> None:
    draw = np.random.default_rng(5)
    lost = np.arange(SIZE) % 25 == 0
    gap = draw.integers(3, 8, SIZE).astype(float)
    history = make_history()
    for name, values in {
        "median_gap_days": gap,
        "recency_days": np.where(lost, 150.0, gap * draw.uniform(0, 6, SIZE)),
        "next_order_date": [DAY + timedelta(days=200 if each else 4) for each in lost.tolist()],
    }.items():
        history = history.set_column(history.column_names.index(name), name, pa.array(values))
    found = learn_waits(history, until=DAY + timedelta(days=SPAN_DAYS))
    assert found is not None
    assert found.predict(np.array([150.0, 20.0]), np.array([5.0, 5.0]))["chance"].tolist() == [0.0, 1.0]


def test_without_a_span_that_is_over_no_date_is_made_up() -> None:
    assert learn_waits(make_history(), until=DAY + timedelta(days=SPAN_DAYS - 1)) is None
    found = forecast_purchases(None, make_present(), as_of=DAY)
    assert found.column("next_order_date").null_count == found.num_rows
    assert found.column("usual_category").null_count == 0


def test_orders_after_the_day_teach_nothing(waits: Waits | None) -> None:
    history = make_history()
    late = history.set_column(0, "as_of", pa.array([DAY + timedelta(days=1)] * SIZE, pa.date32()))
    again = learn_waits(pa.concat_tables([history, late]), until=DAY + timedelta(days=SPAN_DAYS))
    assert waits is not None
    assert again is not None
    np.testing.assert_array_equal(again.middle, waits.middle)
