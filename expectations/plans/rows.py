"""Every row of a plan is complete."""

from typing import TYPE_CHECKING

from expectations.gate import expect_filled, expect_true, expect_unique
from expectations.plans import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.plans import Context


def expect(context: "Context") -> "Iterator[Expectation]":  # noqa: ARG001 - a rule's signature
    """Expect one row per customer with a known arm, no negative cost, and a complete treatment."""
    yield expect_filled("customer_id", key=("as_of",))
    yield expect_unique(KEY)
    yield expect_true(
        "arm_is_known",
        "arm in ('treated', 'holdout', 'control', 'none')",
        column="arm",
        key=KEY,
        says="arm is a known one",
    )
    yield expect_true("cost_is_not_negative", "cost >= 0", column="cost", key=KEY, says="cost is not negative")
    for column in ("channel", "strategy_id"):
        yield expect_true(
            "treatment_is_complete",
            f"arm <> 'treated' or length({column}) > 0",
            column=column,
            key=KEY,
            says=f"every treated customer has a {column}",
        )
