"""The view has every customer of the sources once, and nobody else."""

from typing import TYPE_CHECKING

from expectations.customer_360 import KEY
from expectations.gate import expect_filled, expect_none, expect_rows, expect_unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.customer_360 import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect one row per customer of the population, and no other."""
    population = context.population
    yield expect_rows()
    yield expect_filled("customer_id", key=KEY)
    yield expect_unique(KEY)
    yield expect_none(
        "no_customer_is_lost",
        f"select customer_id from {population} where customer_id not in (select customer_id from {{batch}})",
        column="customer_id",
        says="every customer of the sources has a row",
    )
    yield expect_none(
        "no_customer_is_invented",
        f"select customer_id from {{batch}} where customer_id not in (select customer_id from {population})",
        column="customer_id",
        says="every row belongs to a customer of the sources",
    )
