"""The held-out group has its share, is not treated, and is never contacted."""

from math import sqrt
from typing import TYPE_CHECKING

from expectations.gate import expect_none
from expectations.plans import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.plans import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect the share that the draw gives, and nobody treated who was held out."""
    yield _expect_share(context.drawn_from, context.holdout_share, context.holdout_deviations)
    if context.has_ledger:
        yield expect_none(
            "holdout_is_never_treated",
            "select customer_id from {batch} where arm = 'treated' and customer_id in (select customer_id "
            f"from {LEDGER} where arm = 'holdout' and as_of >= date '{context.holdout_since}')",
            column="arm",
            says=f"nobody is treated who was held out since {context.holdout_since}",
        )


def _expect_share(drawn_from: str, share: float, deviations: float) -> "Expectation":
    slack = f"{deviations * sqrt(share * (1 - share))} * sqrt(drawn) + 1"
    return expect_none(
        "holdout_share_is_kept",
        "select 'arm' as column_name, format('{{:,}} of {{:,}} drawn', held_out, drawn) as observed "
        "from (select count(*) as drawn, "
        f"count(*) filter (where arm = 'holdout') as held_out from {{batch}} where {drawn_from}) "
        f"where abs(held_out - {share} * drawn) > {slack}",
        says=f"a share of {share:.0%} is held out, as far as chance allows",
    )
