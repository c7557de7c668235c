"""A plan keeps the places of every channel, and every decision has a probability."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none, expect_true
from expectations.plans import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.plans import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect no more contacts by a channel than its places, and probabilities that learning can divide by."""
    for channel, places in context.capacity:
        yield expect_none(
            "capacity_is_kept",
            f"select 'channel' as column_name, format('{{{{:,}}}} contacts by {channel}', contacts) as observed from "
            f"(select count(*) as contacts from {{batch}} where arm = 'treated' and channel = '{channel}') "
            f"where contacts > {places}",
            says=f"at most {places:,} contacts are made by {channel}",
        )
    yield expect_true(
        "propensity_is_known",
        "arm = 'none' or (propensity > 0 and propensity <= 1)",
        column="propensity",
        key=KEY,
        says="every decision has a probability above 0",
    )
