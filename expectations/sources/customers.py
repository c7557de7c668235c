"""A source speaks of the customers that the company knows: few of its rows name anybody else."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.sources import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect at most the allowed share of the rows to name a customer whom no list of customers holds."""
    unknown, rows, share = (
        context.table.rows_unknown,
        context.table.rows_with_customer,
        context.limits.maximum_unknown_share,
    )
    if not rows:
        return
    yield expect_none(
        "customers_are_known",
        f"select '{unknown:,} of {rows:,} rows ({100 * unknown / rows:.1f}%)' as observed "
        f"from (select count(*) as rows_in from {{batch}}) where {unknown} > {share} * {rows}",
        column="customer_id",
        says=f"at most {share:.0%} of the rows name a customer whom no list of customers holds",
        remedy=(
            "Compare how the ids are written in the two sources: leading zeros, prefixes, capitals, another id; then "
            "correct the expression of `customer_id`, or bring the missing customers."
        ),
    )
