"""Scores differ, and their mean is what training saw."""

from typing import TYPE_CHECKING

from expectations.gate import expect_mean, expect_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.scores import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect few customers to share one score, and the mean probability near the base rate where one is known."""
    share = context.maximum_share_at_one_value
    yield expect_none(
        "scores_differ",
        "select 'score' as column_name, format('{{:,}} of {{:,}} customers', rows_alike, rows_scored) as observed "
        "from (select max(rows_alike) as rows_alike, cast(sum(rows_alike) as bigint) as rows_scored "
        "from (select score, count(*) as rows_alike from {batch} group by score)) "
        f"where rows_scored >= {context.minimum_rows} and rows_alike > {share} * rows_scored",
        says=f"at most {share:.0%} of the customers share one score",
        remedy="A model that learned nothing, or empty features, score everybody alike: look at the model's card.",
    )
    rate, band = context.base_rate, context.base_rate_band
    if rate is not None:
        yield expect_mean("probability", low=max(0.0, rate - band), high=min(1.0, rate + band))
