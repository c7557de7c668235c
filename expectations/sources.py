"""What is expected of the tables as they landed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from expectations.gate import Suite, expect_filled, expect_none, expect_rows, expect_true, expect_unique

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

SEAM = "sources"


@dataclass(frozen=True, kw_only=True)
class LandedTable:
    """One landed table, with what its landing counted.

    `table` is `schema.table`; `personal` columns are never shown, not even as part of a key; `moment` is the column
    that places a row in time (UTC); `rows_before` is the row count of the last good landing.
    """

    table: str
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    moment: str | None = None
    stale_after_days: int | None = None
    rows_quarantined: int = 0
    rows_before: int | None = None
    may_be_empty: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """The key's columns that may be shown."""
        return tuple(column for column in self.key if column not in self.personal) or ("_batch",)


def build(
    tables: Sequence[LandedTable],
    *,
    as_of: date,
    latest: datetime,
    maximum_future_share: float,
    maximum_quarantine_share: float,
    minimum_rows_share: float,
) -> list[Suite]:
    """Return one suite per landed table.

    `latest` (UTC) is the moment after which nothing can have happened yet, one day after the landing as a rule; at
    most `maximum_future_share` of a table may lie behind it. A table with `stale_after_days` must hold a row younger
    than so many days at `as_of`. At most `maximum_quarantine_share` of the rows may have gone to quarantine, and
    the table may not fall below `minimum_rows_share` of `rows_before`. Shares lie between 0 and 1.
    """
    return [
        Suite(
            seam=SEAM,
            table=table.table,
            expectations=[
                *_expect_content(table),
                *_expect_counts(table, maximum_quarantine_share, minimum_rows_share),
                *_expect_time(table, as_of, latest, maximum_future_share),
            ],
        )
        for table in tables
    ]


def _expect_content(table: LandedTable) -> "Iterator[Expectation]":
    yield expect_rows(low=0 if table.may_be_empty else 1)
    yield expect_unique(table.key, shown=table.shown)
    for column in table.required:
        yield expect_filled(column, key=table.shown)


def _expect_counts(table: LandedTable, quarantine_share: float, rows_share: float) -> "Iterator[Expectation]":
    count, bad = "(select count(*) as rows_landed from {batch})", table.rows_quarantined
    yield expect_none(
        "quarantine_is_small",
        f"select rows_landed, {bad} as rows_quarantined from {count} "
        f"where {bad} > {quarantine_share} * (rows_landed + {bad})",
        says=f"at most {quarantine_share:.1%} of the rows are in quarantine",
    )
    if table.rows_before is not None:
        yield expect_none(
            "rows_have_not_fallen",
            f"select rows_landed, {table.rows_before} as rows_before from {count} "
            f"where rows_landed < {rows_share} * {table.rows_before}",
            says=f"the table holds at least {rows_share:.0%} of the {table.rows_before} rows it held before",
        )


def _expect_time(table: LandedTable, as_of: date, latest: datetime, future_share: float) -> "Iterator[Expectation]":
    moment, last = table.moment, latest.isoformat(sep=" ")
    if moment is None:
        return
    if future_share == 0:
        condition, says = f"{moment} <= timestamp '{last}'", f"{moment} is not later than {last} UTC"
        yield expect_true("moment_is_past", condition, column=moment, key=table.shown, says=says, null_passes=True)
    else:
        yield expect_none(
            "moment_is_past",
            f"select '{moment}' as column_name, share as share_later from (select avg(case when {moment} > "
            f"timestamp '{last}' then 1.0 else 0.0 end) as share from {{batch}}) where share > {future_share}",
            says=f"at most {future_share:.1%} of {moment} is later than {last} UTC",
        )
    if table.stale_after_days is not None:
        since = as_of - timedelta(days=table.stale_after_days)
        yield expect_none(
            "source_is_fresh",
            f"select '{moment}' as column_name, newest from (select max({moment}) as newest from {{batch}}) "
            f"where newest < timestamp '{since}'",
            says=f"the newest {moment} is not older than {since}",
        )
