from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from ml.training.leakage import find_leaks

World = Callable[..., pa.Table]


@pytest.fixture(scope="module")
def rows(world: World) -> pa.Table:
    return world(seed=5, customers=500, months=4)


def outcome(table: pa.Table) -> np.ndarray:
    return table.column("churned").to_numpy(zero_copy_only=False).astype(float)


def test_an_honest_table_passes(rows: pa.Table, names: tuple[str, ...]) -> None:
    assert find_leaks(rows, "churned", names, key=("as_of", "customer_id")) == ()


@pytest.mark.parametrize("disguise", ["copy", "text", "noisy"])
def test_the_label_in_a_column_is_caught_and_named(rows: pa.Table, names: tuple[str, ...], disguise: str) -> None:
    label = outcome(rows)
    noise = np.random.default_rng(0).normal(0, 0.1, len(label))
    values = {"copy": label, "text": np.where(label > 0, "yes", "no").tolist(), "noisy": 3 - 2 * label + noise}
    spoilt = rows.append_column("status", pa.array(values[disguise]))

    found = find_leaks(spoilt, "churned", [*names, "status"])

    assert [(leak.column, leak.kind) for leak in found] == [("status", "label")]


def test_a_window_that_reaches_into_the_future_is_caught_and_named(rows: pa.Table, names: tuple[str, ...]) -> None:
    draw = np.random.default_rng(1)
    orders_next_week = np.where(outcome(rows) > 0, 0, draw.poisson(0.8, rows.num_rows)).astype(float)
    spoilt = rows.append_column("orders_7d", pa.array(orders_next_week))

    found = find_leaks(spoilt, "churned", [*names, "orders_7d"])

    assert [(leak.column, leak.kind) for leak in found] == [("orders_7d", "future")]
    assert "it knows the future" in found[0].evidence


def test_repeated_keys_are_caught_and_named(rows: pa.Table, names: tuple[str, ...]) -> None:
    doubled = pa.concat_tables([rows, rows.slice(0, 100)])

    found = find_leaks(doubled, "churned", names, key=("as_of", "customer_id"))

    assert found[0].column == "as_of, customer_id"
    assert found[0].evidence.startswith("100 rows repeat the key")


def test_rows_repeated_under_new_keys_are_caught(rows: pa.Table) -> None:
    fine = rows.append_column("spend", pa.array(np.random.default_rng(2).random(rows.num_rows)))
    features = ["recency_days", "spend", "plan"]
    position = fine.column_names.index("customer_id")
    copies = fine.slice(0, 200).set_column(position, "customer_id", pa.array([f"new{row}" for row in range(200)]))

    found = find_leaks(pa.concat_tables([fine, copies]), "churned", features, key=("as_of", "customer_id"))

    assert [leak.kind for leak in found] == ["duplicates"]
    assert "200 of 2200 rows repeat every figure" in found[0].evidence


def test_different_customers_of_whom_little_is_known_may_be_alike() -> None:
    draw = np.random.default_rng(3)
    tenure, plan = draw.geometric(0.004, 4_000), draw.integers(0, 2, 4_000)
    table = pa.table(
        {
            "as_of": ["2024-01-01"] * 4_000,
            "customer_id": [f"c{row}" for row in range(4_000)],
            "tenure_days": tenure.astype(float),
            "fee": plan * 30.0 + 15.0,
            "tenure_weeks": tenure // 7.0,
            "days_to_renewal": 30.0 - tenure % 30,
            "churned": draw.random(4_000) < 0.1 + 0.2 * plan,
        }
    )
    features = ["tenure_days", "fee", "tenure_weeks", "days_to_renewal"]
    assert find_leaks(table, "churned", features, key=("as_of", "customer_id")) == ()
