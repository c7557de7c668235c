"""The ledger shows that nobody was contacted but the treated."""

from typing import TYPE_CHECKING

from expectations.gate import expect_none
from expectations.plans import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.plans import Context


TABLE = LEDGER
ACTED = "('sent', 'unknown', 'failed', 'delivered', 'opened', 'redeemed')"


def expect(context: "Context") -> "Iterator[Expectation]":  # noqa: ARG001 - a rule's signature
    """Expect no delivery to anybody but the treated."""
    yield expect_none(
        "holdout_is_never_contacted",
        f"select customer_id, idempotency_key from {{batch}} where arm <> 'treated' and event in {ACTED}",
        column="event",
        says="nothing was sent to anybody but the treated",
    )
