"""Assignments from outside, one per customer and strategy for ever. Append-only."""

from collections.abc import Sequence
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select

from retention.deciding.assignments import Assigned, Assignment, Versions
from retention.store.database import Database
from retention.store.ledger import ASSIGNED
from retention.store.tables import LEDGER, VERSION_ASSIGNMENTS


class Assignments:
    """Which version of a strategy a customer gets, as another system has drawn it."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, assignments: Sequence[Assignment], *, by: str, at: datetime) -> None:
        """Add assignments that `retention.deciding.assignments.check_assignments` has let pass."""
        rows = [vars(each) | {"imported_by": by, "recorded_at": at} for each in assignments]
        if rows:
            with self._database.write() as connection:
                connection.execute(insert(VERSION_ASSIGNMENTS), rows)

    def read(self, as_of: date, *, timezone: str) -> Assigned:
        """Return the customers by strategy and version whose assignment was known when a day of the company began."""
        begins = datetime.combine(as_of, time.min, tzinfo=ZoneInfo(timezone))
        found: dict[str, dict[str, set[str]]] = {}
        with self._database.read() as connection:
            for row in connection.execute(select(VERSION_ASSIGNMENTS)).mappings():
                if max(row["assigned_at"], row["recorded_at"]) < begins:
                    of_strategy = found.setdefault(row["strategy_id"], {})
                    of_strategy.setdefault(row["version"], set()).add(row["customer_id"])
        return {name: {version: frozenset(each) for version, each in its.items()} for name, its in found.items()}

    def read_versions(self) -> Versions:
        """Return the version that customers have, by an assignment or by a decision that was recorded."""
        columns = ("customer_id", "strategy_id", "version")
        decided = select(*(LEDGER.c[name] for name in columns)).where(
            LEDGER.c.event == ASSIGNED, LEDGER.c.version.is_not(None)
        )
        with self._database.read() as connection:
            rows = [
                *connection.execute(decided.order_by(LEDGER.c.recorded_at)),
                *connection.execute(select(*(VERSION_ASSIGNMENTS.c[name] for name in columns))),
            ]
        return {(row[0], row[1]): row[2] for row in rows}
