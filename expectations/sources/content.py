"""A raw table has rows, and each of them its key and its required values."""

from typing import TYPE_CHECKING

from expectations.gate import expect_filled, expect_rows, expect_unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.sources import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect rows, unless the table may be empty, one row per key, and no required value missing."""
    table = context.table
    yield expect_rows(low=0 if table.may_be_empty else 1)
    yield expect_unique(table.key, shown=table.shown)
    for column in table.required:
        yield expect_filled(column, key=table.shown)
