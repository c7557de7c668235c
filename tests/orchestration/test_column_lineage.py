"""Where a model's columns come from, read from its SQL."""

import pytest

from orchestration.column_lineage import digest_query, trace_columns

COLUMNS = {"staging": {"orders": {"customer_id": "VARCHAR", "amount": "DOUBLE", "discount": "DOUBLE"}}}
NET = "with net as (select amount - discount as spent from staging.orders)"
UNION = "union all select discount from staging.orders"
AMOUNT, DISCOUNT = ["staging", "orders", "amount"], ["staging", "orders", "discount"]


@pytest.mark.parametrize(
    ("sql", "sources"),
    [
        ("select amount as spent from staging.orders", [AMOUNT]),
        (
            "with net as (select amount - discount as spent from staging.orders) select spent from net",
            [AMOUNT, DISCOUNT],
        ),
        ("with all_of as (select * from staging.orders) select sum(amount) as spent from all_of", [AMOUNT]),
        (
            "select amount as spent from staging.orders union all select discount from staging.orders",
            [AMOUNT, DISCOUNT],
        ),
        ("select 1 as spent", []),
    ],
    ids=["renamed", "computed in a step before", "behind a star", "of two queries", "a constant"],
)
def test_a_column_names_the_columns_it_is_computed_from(sql: str, sources: list[list[str]]) -> None:
    assert trace_columns(sql, ["spent"], columns=COLUMNS) == {"spent": sources}


@pytest.mark.parametrize("sql", ["select from where", "select amount from staging.orders"])
def test_what_cannot_be_traced_has_no_sources_instead_of_wrong_ones(sql: str) -> None:
    assert trace_columns(sql, ["spent"], columns=COLUMNS) == {}


def test_a_query_is_traced_once_for_all_days_that_it_is_run_for() -> None:
    first, second = (f"select amount from staging.orders where day < '2024-10-{day}'" for day in ("01", "02"))
    assert digest_query(first) == digest_query(second)
    assert digest_query(first) != digest_query(first.replace("amount", "discount"))
