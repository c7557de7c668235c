"""What an instance holds, without the moments at which it was written: to compare two of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd

from retention.store.store import Store

CHANGES_WITH_THE_CLOCK = (
    "_landed_at",
    "_batch",
    "landed_at",
    "batch",
    "judged_at",
    "recorded_at",
    "happened_at",
    "sent_at",
    "raised_at",
)


def read_tables(home: Path) -> dict[str, tuple[int, str]]:
    """Return rows and a content hash of every table people read, but for moments and run ids.

    The days that a run had to rebuild are left out: a second run has none. The last digits of a sum depend on the order
    of its rows, so figures count to six decimals.
    """
    found = {}
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name, map(list(column_name order by ordinal_position), "
            "list(data_type order by ordinal_position)) "
            "from information_schema.columns "
            "where table_schema not in ('ingestion', 'intermediate', 'quarantine', 'staging') "
            "and table_name not in ('days_to_rebuild', 'gate_verdicts', 'finished_builds') group by all order by all"
        ).fetchall()
        for schema, name, columns in tables:
            kept = ", ".join(
                f'round("{column}", 6)' if data_type == "DOUBLE" else f'"{column}"'
                for column, data_type in columns.items()
                if column not in CHANGES_WITH_THE_CLOCK
            )
            query = f"select count(*), cast(coalesce(bit_xor(hash({kept})), 0) as varchar) from {schema}.{name}"
            found[f"{schema}.{name}"] = connection.sql(query).fetchall()[0]
    return found


def read_ledger(home: Path) -> pd.DataFrame:
    """Return the operational ledger without the moments at which things happened to be recorded."""
    with Store(f"sqlite:///{home / 'operational.db'}") as store:
        return store.ledger.read().drop(columns=["recorded_at", "happened_at"])


def read_settled(home: Path) -> pd.DataFrame:
    """Return the ledger without what was unknown for a while: of which messages depends on the moment of a kill."""
    ledger = read_ledger(home)
    return ledger.loc[ledger["event"] != "unknown"].reset_index(drop=True)


def count(database: Path, query: str) -> int:
    """Return a count from another process's SQLite database, 0 as long as it has no such table."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def count_made(home: Path, *asset: str) -> int:
    """Return how often Dagster has recorded that an asset was materialized."""
    made = f"dagster_event_type = 'ASSET_MATERIALIZATION' and asset_key = '{json.dumps(asset)}'"
    return count(history(home), f"select count(*) from event_logs where {made}")


def history(home: Path) -> Path:
    """Return the database of Dagster's events."""
    return home / "dagster" / "history" / "runs" / "index.db"
