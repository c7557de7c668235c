"""Everybody at risk has reasons, in words and in order."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none, expect_true, expect_unique
from expectations.scores import REASONS, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.scores import Context


TABLE = REASONS
NOT_ACTED_ON = "none"  # the level of whom the policy leaves alone


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect up to the allowed number of reasons for everybody at risk: ranked, in words, and all raising the risk."""
    where, each, lowest_tier = context.where, context.reasons_each, context.lowest_tier
    yield expect_unique(("customer_id", "rank"))
    for column in ("reason", "fact", "text_en", "text_zh"):
        yield expect_true(
            "reason_has_words",
            f"length({column}) > 0",
            column=column,
            key=("customer_id", "rank"),
            says=f"{column} is not empty",
        )
    yield expect_true(
        "reason_raises_the_risk",
        "contribution is null or contribution > 0",
        column="contribution",
        key=("customer_id", "rank"),
        says="every reason raises the risk",
    )
    at_risk = (
        f"select customer_id from {SCORES} where {where} and (tier <> '{lowest_tier}' or level <> '{NOT_ACTED_ON}')"
    )
    ranked = f"count(*) <= {each} and min(rank) = 1 and max(rank) = count(*)"
    yield expect_none(
        "reasons_are_complete",
        f"select customer_id from ({at_risk}) where customer_id not in (select customer_id from {{batch}}) "
        f"union all select customer_id from {{batch}} group by customer_id having not ({ranked})",
        column="rank",
        says=f"every customer at risk has 1 to {each} reasons, ranked from 1 without a gap",
    )
