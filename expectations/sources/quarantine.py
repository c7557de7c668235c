"""A source is clean enough: few of its rows went to the quarantine."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.sources import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect at most the allowed share of the rows in quarantine; the most frequent reasons are named."""
    bad, share = context.table.rows_quarantined, context.limits.maximum_quarantine_share
    yield expect_none(
        "quarantine_is_small",
        f"select format('{bad:,} of {{{{:,}}}} rows ({{{{:.1f}}}}%)', rows_in, 100 * {bad} / rows_in) as observed "
        f"from (select count(*) + {bad} as rows_in from {{batch}}) where {bad} > {share} * rows_in",
        says=f"at most {share:.1%} of the rows are in quarantine",
        remedy=_explain(context.table.quarantine_reasons),
    )


def _explain(reasons: tuple[tuple[str, int], ...]) -> str:
    look = "`holdfast quarantine` shows the rows; correct the source or its mapping"
    if not reasons:
        return f"{look}."
    worst = ", ".join(f"{reason} ({count:,} rows)" for reason, count in reasons)
    return f"The most frequent reasons: {worst}. {look}."
