"""A snapshot has one row per customer, and the snapshots that training needs are there."""

from typing import TYPE_CHECKING

from expectations.features.profile import FEATURES
from expectations.gate import expect_filled, expect_none, expect_rows, expect_unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.features import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect one row per customer, and every snapshot that the day needs."""
    yield expect_rows()
    yield expect_filled("customer_id", key=("as_of",))
    yield expect_unique(("as_of", "customer_id"))
    days = context.snapshots
    wanted = ", ".join(f"(date '{day}')" for day in days)
    yield expect_none(
        "snapshot_is_present",
        f"select wanted.as_of from (values {wanted}) as wanted(as_of) "
        f"where as_of not in (select distinct as_of from {FEATURES}) and (select count(*) from {{batch}}) >= 0",
        column="as_of",
        says=f"all {len(days)} snapshots are present",
    )
