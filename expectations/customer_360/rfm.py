"""The quantile scores of recency, frequency and money are in their range."""

from typing import TYPE_CHECKING

from expectations.customer_360 import KEY, TOLERANCE
from expectations.gate import expect_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.customer_360 import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect quantile scores from 1 to 5, and their weighted mean between the lowest and the highest."""
    scores, weighted_score = context.scores, context.weighted_score
    for column in scores:
        condition = f"{column} in (1, 2, 3, 4, 5)"
        says = f"{column} is a whole number from 1 to 5"
        yield expect_true("score_is_1_to_5", condition, column=column, key=KEY, says=says, null_passes=True)
    low, high = f"least({', '.join(scores)})", f"greatest({', '.join(scores)})"
    yield expect_true(
        "mean_lies_within_its_parts",
        f"{weighted_score} between {low} - {TOLERANCE} and {high} + {TOLERANCE}",
        column=weighted_score,
        key=KEY,
        says=f"{weighted_score} lies between the lowest and the highest of {', '.join(scores)}",
        null_passes=True,
    )
