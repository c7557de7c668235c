"""Derived values are known words, follow from their parts, and are there where they must be."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from expectations.customer_360 import KEY, TOLERANCE
from expectations.gate import expect_true

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

    from expectations.customer_360 import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect known words, a value for everybody who spent, and each identity to hold."""
    for column, values in context.members.items():
        yield _expect_member(column, values)
    yield expect_true(
        "value_of_spender_is_known",
        f"{context.value} is not null or coalesce({context.spend}, 0) <= 0",
        column=context.value,
        key=KEY,
        says=f"{context.value} is known for everybody who spent something",
    )
    for column, expression in context.identities.items():
        yield _expect_equal(column, expression)


def _expect_member(column: str, values: Sequence[str]) -> "Expectation":
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return expect_true(
        "value_is_known", f"{column} in ({listed})", column=column, key=KEY, says=f"{column} is one of {listed}"
    )


def _expect_equal(column: str, expression: str) -> "Expectation":
    slack = f"{TOLERANCE} * greatest(1, abs({column}))"
    return expect_true(
        "identity_holds",
        f"abs({column} - ({expression})) <= {slack}",
        column=column,
        key=KEY,
        says=f"{column} equals {expression}",
        null_passes=True,
    )
