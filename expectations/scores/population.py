"""Every eligible customer has one score, and nobody else has one."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none, expect_unique
from expectations.scores import FEATURES, KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.scores import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect one score for every eligible customer, and none for others."""
    yield expect_unique(KEY)
    eligible = f"(select customer_id from {FEATURES} where as_of = date '{context.as_of}' and is_eligible)"
    yield expect_none(
        "every_eligible_customer_is_scored",
        f"select customer_id from {eligible} where customer_id not in (select customer_id from {{batch}})",
        column="customer_id",
        says="every eligible customer has a score",
    )
    yield expect_none(
        "only_eligible_customers_are_scored",
        f"select customer_id from {{batch}} where customer_id not in {eligible}",
        column="customer_id",
        says="every score belongs to an eligible customer",
    )
