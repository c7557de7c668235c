"""Reconciliation of ingestion and cleaning: where every row went, and what the cleaning rules did."""

from dataclasses import dataclass

from orchestration.warehouse import Warehouse

_UNLANDED = """
    select source || '.' || table_name as name, rows_in as came,
        rows_landed + rows_quarantined + rows_duplicate as accounted
    from ingestion.landings where came <> accounted order by name
"""
_UNSTAGED = """
    select source || '.' || table_name || ' of batch ' || batch as name, rows_landed as came,
        rows_staged + rows_removed as accounted
    from bookkeeping.cleaning_reconciliation where came <> accounted order by name
"""
_WHAT_RULES_DID = """
    select table_name, rule, coalesce(column_name, '') as column_name, action,
        sum(count_rows)::bigint as count_rows,
        coalesce(sum(count_rows) filter (where is_latest), 0)::bigint as count_latest
    from bookkeeping.cleaning_counts
    group by all having sum(count_rows) > 0 order by all
"""
_MISSING_DAYS = """
    select feed || '.' || source_table as name, strftime(paused_from, '%Y-%m-%d') as first_day,
        strftime(paused_until - 1, '%Y-%m-%d') as last_day, count_days
    from bookkeeping.feed_pauses where is_missing order by all
"""
_ROWS_LATER = """
    select feed || '.' || source_table as name, count_rows_later as count_rows
    from bookkeeping.feed_coverage where count_rows_later > 0 order by all
"""
_COLUMNS = ("table", "rule", "column", "action", "rows that stand", "of the latest batch")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A landing or a staged batch of which `came` rows are known, and the fate of `accounted` rows."""

    name: str
    came: int
    accounted: int

    def __str__(self) -> str:
        """Return the gap in words."""
        return f"{self.name}: {self.came} rows came, the fate of {self.accounted} is known"


def find_gaps(warehouse: Warehouse) -> tuple[Gap, ...]:
    """Return every landing that does not know its rows' fate, and every batch neither staged nor removed by a rule."""
    found = [row for query in (_UNLANDED, _UNSTAGED) for row in warehouse.read(query).to_pylist()]
    return tuple(Gap(**row) for row in found)


def describe_cleaning(warehouse: Warehouse) -> str:
    """Return what each cleaning rule did, as a Markdown table: to all rows that stand, and to the latest batch."""
    rows = [tuple(row.values()) for row in warehouse.read(_WHAT_RULES_DID).to_pylist()]
    lines = [_COLUMNS, tuple("---" for _ in _COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def find_missing_days(warehouse: Warehouse) -> tuple[str, ...]:
    """Return a sentence for every run of days that a feed lacks, and for every feed with rows dated in the future."""
    missing = [
        f"{row['name']} has no rows from {row['first_day']} to {row['last_day']} ({row['count_days']} days), which its "
        "usual rhythm makes implausible: labels whose windows overlap these days are unknown. Deliver the rows, or "
        "declare the days under `closed` or the feed's last day as `ended_on` in company.yaml"
        for row in warehouse.read(_MISSING_DAYS).to_pylist()
    ]
    later = [
        f"{row['name']} has {row['count_rows']} rows dated after the day of their ingestion: they are not counted "
        "before their day comes. Correct them in the source"
        for row in warehouse.read(_ROWS_LATER).to_pylist()
    ]
    return (*missing, *later)
