"""What a run leaves for a person to read: figures as JSON, as tables on the screen, and the quarantine."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table

from ingestion.check import CheckReport, TableCheck
from ingestion.profiling import Profile
from orchestration.warehouse import Warehouse

QUERIES = {
    "performance": "select * from monitoring.performance where as_of = $as_of",
    "training": "select * from monitoring.trainings where as_of <= $as_of order by as_of desc limit 1",
    "tiers": """
        select tier, count(*) as customers from decisions.latest_scores where as_of = $as_of
        group by tier order by min(score) desc""",
    "decisions": """
        select arm, strategy_id, count(*) as customers, sum(cost) as cost from retention.plans
        where as_of = $as_of group by arm, strategy_id order by arm desc, customers desc""",
    "ledger": """
        select event, arm, count(*) as entries from retention.ledger
        where as_of = $as_of group by event, arm order by event, arm""",
    "effects": """
        select strategy_id as strategy, n_treated as treated, n_holdout as held_out,
            retention_treated as stayed, retention_holdout as stayed_held_out,
            difference, difference_low as low, difference_high as high, needed_holdout as needed, verdict,
            verdict_expected_on as expected_on
        from outcomes.strategy_effects where is_latest order by strategy_id""",
    "gates": """
        select seam, max_by(passed, judged_at) as passed from monitoring.gate_verdicts
        where as_of = $as_of group by seam order by min(judged_at)""",
    "quarantine": """
        select source, table_name, reason, count(*) as rows from quarantine.rows
        group by all order by rows desc""",
    "missing_days": """
        select source_table as table, feed, paused_from as first_day, paused_until - 1 as last_day, count_days as days
        from bookkeeping.feed_pauses where is_missing order by feed, source_table, paused_from""",
}
TABLES = {
    "performance": "monitoring.performance",
    "training": "monitoring.trainings",
    "tiers": "decisions.latest_scores",
    "decisions": "retention.plans",
    "ledger": "retention.ledger",
    "effects": "outcomes.strategy_effects",
    "gates": "monitoring.gate_verdicts",
    "quarantine": "quarantine.rows",
    "missing_days": "bookkeeping.feed_pauses",
}
TITLES = {
    "performance": "The scores against what happened",
    "training": "Training",
    "tiers": "Scored customers by tier",
    "decisions": "Decisions under one budget",
    "ledger": "The ledger",
    "effects": "Effect against the untreated",
    "gates": "Gates",
    "quarantine": "Quarantine",
    "missing_days": "Missing days: labels whose windows overlap them are unknown",
}


def collect(warehouse: Warehouse, *, as_of: date) -> dict[str, Any]:
    """Return the figures of the run for `as_of`, read from the warehouse it wrote."""
    figures: dict[str, Any] = {"as_of": as_of}
    for name, query in QUERIES.items():
        parameters = {"as_of": as_of} if "$as_of" in query else None
        figures[name] = warehouse.read(query, parameters).to_pylist() if warehouse.has_table(TABLES[name]) else []
    return figures


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print every non-empty figure as a table."""
    for name, title in TITLES.items():
        rows = figures[name]
        if rows:
            console.print(_upright(title, rows[0]) if len(rows) == 1 else tabulate(title, rows))


def show_check(report: CheckReport, console: Console) -> None:
    """Print what every feed of a company holds and lacks, a sample of it, and every fault."""
    rows = [
        {
            "table": table.table,
            "source": table.source,
            "rows": table.rows_in,
            "good": table.rows_good,
            "duplicate": table.rows_duplicate,
            "would be quarantined": _reasons(table),
            "customers known": f"{1 - table.known.share_unknown:.1%}" if table.known else "-",
            "days": _days(table.profile),
            "empty": ", ".join(f"{name} {share:.0%}" for name, share in table.profile.null_shares.items()) or "-",
        }
        for table in report.tables
    ]
    if rows:
        console.print(tabulate(report.company, rows))
    for table in report.tables:
        console.print(_describe_rest(table), highlight=False, markup=False, soft_wrap=True)
    for table in report.tables:
        for row in table.sample[:1]:
            console.print(
                _upright(
                    f"{table.table}, a row", {name: str(value) for name, value in row.items() if value is not None}
                )
            )
    for warning in report.warnings:
        console.print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)
    for fault in (*report.faults, *report.closed):
        console.print(fault, style="red", highlight=False, markup=False, soft_wrap=True)


def _describe_rest(table: TableCheck) -> str:
    """Return what the table of all feeds has no room for: what was repaired, and what is left empty."""
    repaired = "".join(f"\n  {name}: {count:,} repaired or emptied" for name, count in table.repairs.items())
    read = f" (the first {table.rows_in:,} rows were read)" if table.is_partial else ""
    return f"{table.table} from {table.source}{read}, not mapped: {', '.join(table.unmapped) or 'none'}{repaired}"


def _reasons(table: TableCheck) -> str:
    reasons = ", ".join(f"{name}: {count}" for name, count in table.reasons.items())
    return f"{table.share_quarantined:.1%}: {reasons}" if reasons else "-"


def _days(profile: Profile) -> str:
    if profile.first_day is None:
        return "-"
    gaps = f", {profile.missing_days} without rows" if profile.missing_days else ""
    return f"{profile.first_day} to {profile.last_day}{gaps}"


def show_quarantine(warehouse: Warehouse, console: Console, *, limit: int) -> None:
    """Print the newest quarantined rows with their source, reason and content."""
    query = """
        select source, table_name, reason, column_name, row_key, raw from quarantine.rows
        order by landed_at desc limit $limit"""
    rows = warehouse.read(query, {"limit": limit}).to_pylist()
    console.print(tabulate("Quarantine", rows) if rows else "The quarantine is empty.")


def tabulate(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return rows of one shape as a table for the screen, without the columns in which no row has a value."""
    table = Table(title=title, title_justify="left")
    filled = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    for column in filled:
        is_number = any(isinstance(row[column], int | float) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_say(row[column]) for column in filled))
    return table


def _upright(title: str, row: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for column, value in row.items():
        if value is not None:
            table.add_row(column, _say(value))
    return table


def _say(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
