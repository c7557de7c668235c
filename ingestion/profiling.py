"""What judged rows look like: how much is empty, and which days they cover."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import duckdb

from company.contract import ColumnType, Table
from ingestion.classifying import STAGE
from ingestion.readers.extract import quoted
from ingestion.tokens import EMAIL


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Good rows of one feed: the share of nulls by mapped column, and the days that they cover in the company's zone.

    `missing_days` counts the days between the first and the last one on which nothing happened, None where the rows
    are no events. `newest` is the newest moment (UTC), and `share_future` the share of rows later than the limit.
    `personal` names columns that the contract does not take for personal and whose values look it: what they look like,
    and which share of them.
    """

    null_shares: dict[str, float] = field(default_factory=dict)
    first_day: date | None = None
    last_day: date | None = None
    missing_days: int | None = None
    newest: datetime | None = None
    share_future: float = 0.0
    personal: dict[str, tuple[str, float]] = field(default_factory=dict)


_SUSPICIOUS = 0.2  # share of values that look personal, from which on a column does
_FEWEST_NAMES = 50  # different names of people; what there are fewer of are categories, such as cities
_LOOKS = {
    "e-mail addresses": EMAIL,
    "telephone numbers": r"\+[1-9][\d ()/.-]{7,18}|00?[1-9]\d{1,4}[ /-]\d[\d -]{4,14}|1[3-9]\d{9}",
    "names of people": r"\p{Lu}[\p{L}'\x{2019}-]+,? (\p{Lu}[.] |\p{Lu}[\p{L}'\x{2019}-]+ )?\p{Lu}[\p{L}'\x{2019}-]+",
}


def profile_stage(
    connection: duckdb.DuckDBPyConnection, contract: Table, columns: Sequence[str], *, zone: str, latest: datetime
) -> Profile:
    """Describe the good rows of the stage in their mapped `columns`; nothing can have happened after `latest` (UTC)."""
    empty = ", ".join(f"1 - count({quoted(name)}) / count(*)" for name in columns)
    shares = connection.execute(f"select {empty} from {STAGE} where _fault is null having count(*) > 0").fetchone()
    profile = Profile(
        null_shares={name: share for name, share in zip(columns, shares or (), strict=False) if share > 0},
        personal=_find_personal(connection, contract, columns),
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


def _find_personal(
    connection: duckdb.DuckDBPyConnection, contract: Table, columns: Sequence[str]
) -> dict[str, tuple[str, float]]:
    """Return the text columns whose values look personal although the contract does not take them for it."""
    if "customer_id" not in contract.names:
        return {}  # of products and campaigns, which have names of their own
    found = {}
    for name in filter(lambda name: _may_be_personal(contract, name), columns):
        column = quoted(name)
        is_named = f"count(distinct {column}) >= greatest({_FEWEST_NAMES}, 0.5 * count({column}))"
        shares = ", ".join(f"avg(regexp_full_match({column}, '{_quote(look)}')::int)" for look in _LOOKS.values())
        query = f"select {is_named}, {shares} from {STAGE} where _fault is null and {column} is not null"
        are_different, *seen = connection.execute(query).fetchone() or (False,)
        for look, share in zip(_LOOKS, seen, strict=False):
            if (share or 0) >= _SUSPICIOUS and (are_different or look == "e-mail addresses"):
                found[name] = (look, share)
    return found


def _may_be_personal(contract: Table, name: str) -> bool:
    column = contract.column(name)
    is_other_id = name.endswith("_id") and not name.endswith("customer_id")  # order numbers have as many digits
    return column.type is ColumnType.TEXT and not column.personal and not is_other_id


def _quote(pattern: str) -> str:
    return pattern.replace("'", "''")
