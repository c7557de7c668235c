"""What is expected of the tables as their sources delivered them. A new rule is one new file in this folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from expectations.gate import Suite, find_rules

if TYPE_CHECKING:
    from company.policy.gates import Gates

SEAM = "sources"


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """One raw table, with what its ingestion counted.

    `table` is `schema.table`; `personal` columns are never shown, not even as part of a key; `moment` is the column
    that places a row in time (UTC); `quarantine_reasons` are the most frequent ones with their rows, the worst first;
    `rows_before` is the number of rows that the table held before the last ingestion. Of the `rows_with_customer`,
    `rows_unknown` name one whom no list of customers holds.
    """

    table: str
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    moment: str | None = None
    stale_after_days: int | None = None
    rows_quarantined: int = 0
    quarantine_reasons: tuple[tuple[str, int], ...] = ()
    rows_before: int | None = None
    may_be_empty: bool = False
    rows_with_customer: int = 0
    rows_unknown: int = 0

    @property
    def shown(self) -> tuple[str, ...]:
        """The key's columns that may be shown."""
        return tuple(column for column in self.key if column not in self.personal) or ("_batch",)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule knows: the table, the day, and the limits of the policy."""

    table: RawTable
    as_of: date
    latest: datetime
    limits: "Gates"


def build(
    tables: Sequence[RawTable],
    *,
    as_of: date,
    latest: datetime,
    limits: "Gates",
) -> list[Suite]:
    """Return one suite per raw table.

    `latest` (UTC) is the moment after which nothing can have happened yet, one day after the ingestion as a rule. A
    table with `stale_after_days` must hold a row younger than so many days at `as_of`. `limits` are the policy's.
    """
    contexts = [
        Context(
            table=table,
            as_of=as_of,
            latest=latest,
            limits=limits,
        )
        for table in tables
    ]
    return [
        Suite(seam=SEAM, table=context.table.table, expectations=[rule for _, rule in find_rules(__name__, context)])
        for context in contexts
    ]
