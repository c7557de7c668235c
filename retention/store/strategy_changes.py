"""The history of what people changed about strategies. Append-only."""

from dataclasses import asdict, fields, replace

from sqlalchemy import insert, select

from retention.deciding.strategy_changes import StrategyChange
from retention.store.database import Database, digest, next_number
from retention.store.tables import STRATEGY_CHANGES


class StrategyChanges:
    """One row per change, the last one holding."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, change: StrategyChange) -> StrategyChange:
        """Append a change, which `retention.deciding.strategy_changes.check` has let pass, and return it numbered."""
        with self._database.write() as connection:
            numbered = replace(change, number=next_number(connection, STRATEGY_CHANGES))
            identity = digest("strategy", str(numbered.number), numbered.strategy_id)
            connection.execute(insert(STRATEGY_CHANGES).values(change_id=identity, **asdict(numbered)))
        return numbered

    def read(self) -> list[StrategyChange]:
        """Return every change, the oldest first."""
        columns = [STRATEGY_CHANGES.c[field.name] for field in fields(StrategyChange)]
        with self._database.read() as connection:
            rows = connection.execute(select(*columns).order_by(STRATEGY_CHANGES.c.number)).mappings()
            return [StrategyChange(**row) for row in rows]
