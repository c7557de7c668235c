"""A plan stays within the budget of its period."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.plans import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect the treatments, with what was spent before, within the budget."""
    budget, before = context.budget, context.spent_before
    yield expect_none(
        "budget_is_kept",
        "select 'cost' as column_name, "
        f"format('{{{{:,.2f}}}} planned and {before:,.2f} spent before', planned) as observed "
        "from (select coalesce(sum(cost) filter (where arm = 'treated'), 0) as planned from {batch}) "
        f"where planned > 0 and planned + {before} > {budget} + 1e-6",
        says=f"the treatments and what was spent before stay within the budget of {budget:,.2f}",
    )
