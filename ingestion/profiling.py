"""What judged rows look like: how much is empty, and which days they cover."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import duckdb

from company.contract import Table
from ingestion.classifying import STAGE
from ingestion.readers.extract import quoted


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Good rows of one feed: the share of nulls by mapped column, and the days that they cover in the company's zone.

    `missing_days` counts the days between the first and the last one on which nothing happened, None where the rows
    are no events. `newest` is the newest moment (UTC), and `share_future` the share of rows later than the limit.
    """

    null_shares: dict[str, float] = field(default_factory=dict)
    first_day: date | None = None
    last_day: date | None = None
    missing_days: int | None = None
    newest: datetime | None = None
    share_future: float = 0.0


def profile_stage(
    connection: duckdb.DuckDBPyConnection, contract: Table, columns: Sequence[str], *, zone: str, latest: datetime
) -> Profile:
    """Describe the good rows of the stage in their mapped `columns`; nothing can have happened after `latest` (UTC)."""
    empty = ", ".join(f"1 - count({quoted(name)}) / count(*)" for name in columns)
    shares = connection.execute(f"select {empty} from {STAGE} where _fault is null having count(*) > 0").fetchone()
    profile = Profile(
        null_shares={name: share for name, share in zip(columns, shares or (), strict=False) if share > 0}
    )
    if not contract.moment or contract.moment not in columns:
        return profile
    moment = quoted(contract.moment)
    local = f"timezone('{zone}', timezone('UTC', {moment}))::date"
    figures = "min(day), max(day), count(distinct day), max(moment), avg(case when moment > $latest then 1 else 0 end)"
    query = f"select {figures} from (select {moment} as moment, {local} as day from {STAGE} where _fault is null)"
    found = connection.execute(query, {"latest": latest}).fetchone()
    if not found or found[0] is None:
        return profile
    first, last, count, newest, share = found
    missing = (last - first).days + 1 - count if contract.name != "customers" else None
    return replace(
        profile, first_day=first, last_day=last, missing_days=missing, newest=newest, share_future=float(share)
    )
