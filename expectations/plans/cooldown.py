"""Nobody is treated again within the cool-down, but with service that they have not had in it."""

from datetime import timedelta
from typing import TYPE_CHECKING

from expectations.gate import expect_none
from expectations.plans import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.plans import Context


# an assignment stands until its message is stopped, and again when that is sent anew
STANDING = (
    "count(*) filter (where event in ('assigned', 'redriven')) "
    "- count(*) filter (where event in ('failed', 'late', 'capped', 'held'))"
)


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect nobody treated who was chosen within the cool-down before, but with service that was not that."""
    if not context.has_ledger:
        return
    since = context.as_of - timedelta(days=context.cooldown_days)
    lived = "true" if context.counts_replays else "not is_replay"
    recent = (
        f"from {LEDGER} where {lived} and as_of > date '{since}' and as_of < date '{context.as_of}' "
        f"group by customer_id, as_of, strategy_id, arm having {STANDING} > 0"
    )
    services = ", ".join(f"'{strategy}'" for strategy in ("", *context.service))
    yield expect_none(
        "cooldown_is_respected",
        "select customer_id from {batch} where arm = 'treated' and case "
        f"when strategy_id in ({services}) "
        f"then (customer_id, strategy_id) in (select (customer_id, strategy_id) {recent}) "
        f"else customer_id in (select customer_id {recent}) end",
        column="customer_id",
        says=f"nobody is treated twice within {context.cooldown_days} days, but with another service",
    )
