"""A raw table's moments are plausible: not in the future, and recent enough."""

from datetime import timedelta
from typing import TYPE_CHECKING

from expectations.gate import expect_none, expect_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.sources import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect few moments of the future, and a newest row young enough; nothing of a table without moments."""
    moment = context.table.moment
    if moment is None:
        return
    yield _expect_past(context, moment)
    if context.table.stale_after_days is not None:
        yield _expect_fresh(context, moment, context.table.stale_after_days)


def _expect_past(context: "Context", moment: str) -> "Expectation":
    last, share = context.latest.isoformat(sep=" "), context.limits.maximum_future_share
    remedy = "Correct the dates at the source, or the format and the zone in the mapping."
    if share == 0:
        return expect_true(
            "moment_is_past",
            f"{moment} <= timestamp '{last}'",
            column=moment,
            key=context.table.shown,
            says=f"{moment} is not later than {last} UTC",
            null_passes=True,
            remedy=remedy,
        )
    return expect_none(
        "moment_is_past",
        f"select '{moment}' as column_name, format('{{{{:.2f}}}}%', 100 * share) as observed "
        f"from (select avg(case when {moment} > timestamp '{last}' then 1.0 else 0.0 end) as share from {{batch}}) "
        f"where share > {share}",
        says=f"at most {share:.1%} of {moment} is later than {last} UTC",
        remedy=remedy,
    )


def _expect_fresh(context: "Context", moment: str, days: int) -> "Expectation":
    since = context.as_of - timedelta(days=days)
    return expect_none(
        "source_is_fresh",
        f"select '{moment}' as column_name, strftime(newest, '%Y-%m-%d %H:%M') as observed "
        f"from (select max({moment}) as newest from {{batch}}) where newest < timestamp '{since}'",
        says=f"the newest {moment} is not older than {since}",
        remedy="Find out why the source delivers nothing new, or change `fresh_within_days` of the feed.",
    )
