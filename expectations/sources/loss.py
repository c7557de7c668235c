"""A source has not lost rows suddenly: what was there before is still there, but for a share."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.sources import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect at least the required share of the rows that the table held before."""
    before, share = context.table.rows_before, context.limits.minimum_rows_share
    if before is None:
        return
    yield expect_none(
        "rows_have_not_fallen",
        f"select format('{{{{:,}}}} rows instead of {before:,}', rows_now) as observed "
        f"from (select count(*) as rows_now from {{batch}}) where rows_now < {share} * {before}",
        says=f"the table holds at least {share:.0%} of the {before:,} rows it held before",
        remedy="Deliver the missing rows; once a person lets it pass, so few are the new measure.",
    )
