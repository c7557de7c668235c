"""Rows that a company keeps no longer: neither taken in again from their source nor left in the raw table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from company.contract import Table
from ingestion import storing
from ingestion.classifying import STAGE, Classified, count
from ingestion.readers.extract import quoted


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """How many days rows of each table are kept, by the moment that places them in time; of other tables all are."""

    keep_days: Mapping[str, int]

    def apply(
        self, connection: duckdb.DuckDBPyConnection, contract: Table, classified: Classified, *, at: datetime
    ) -> Classified:
        """Take old rows out of the stage, as if the source had not sent them; return the new counts."""
        removed = self._delete(connection, STAGE, contract, at=at)
        if not removed:
            return classified
        return count(connection, classified.faults, classified.fixes, rows_in=classified.rows_in - removed)

    def clear(self, connection: duckdb.DuckDBPyConnection, target: str, contract: Table, *, at: datetime) -> int:
        """Delete old rows of a raw table; return how many."""
        return self._delete(connection, target, contract, at=at) if storing.exists(connection, target) else 0

    def _delete(self, connection: duckdb.DuckDBPyConnection, relation: str, contract: Table, *, at: datetime) -> int:
        days, moment = self.keep_days.get(contract.name), contract.moment
        columns = {row[0] for row in connection.execute(f"describe {relation}").fetchall()} if days and moment else ()
        if not days or not moment or moment not in columns:
            return 0
        statement = f"delete from {relation} where {quoted(moment)} < $before"
        row = connection.execute(statement, {"before": at - timedelta(days=days)}).fetchone()
        return int(row[0]) if row else 0
