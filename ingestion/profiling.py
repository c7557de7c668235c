"""What judged rows look like: how much is empty, and which days they cover."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb

from company.contract import Table
from ingestion.classifying import STAGE
from ingestion.readers.extract import quoted


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Good rows of one feed: the share of nulls by mapped column, and the days that they cover in the company's zone.

    `missing_days` counts the days between the first and the last one on which nothing happened.
    """

    null_shares: dict[str, float] = field(default_factory=dict)
    first_day: date | None = None
    last_day: date | None = None
    missing_days: int = 0


def profile_stage(
    connection: duckdb.DuckDBPyConnection, contract: Table, columns: Sequence[str], *, zone: str
) -> Profile:
    """Describe the good rows of the stage in their mapped `columns`."""
    empty = ", ".join(f"1 - count({quoted(name)}) / count(*)" for name in columns)
    shares = connection.execute(f"select {empty} from {STAGE} where _fault is null having count(*) > 0").fetchone()
    days: tuple[date | None, date | None, int] = (None, None, 0)
    if contract.moment and contract.moment in columns:
        local = f"timezone('{zone}', timezone('UTC', {quoted(contract.moment)}))::date"
        good = f"select {local} as day from {STAGE} where _fault is null"
        query = f"select min(day), max(day), count(distinct day) from ({good})"
        days = connection.execute(query).fetchone() or days
    first, last, count = days
    return Profile(
        null_shares={name: share for name, share in zip(columns, shares or (), strict=False) if share > 0},
        first_day=first,
        last_day=last,
        missing_days=(last - first).days + 1 - count if first and last else 0,
    )
