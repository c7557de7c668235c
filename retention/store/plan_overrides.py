"""The history of what people decided about single customers. Append-only."""

from dataclasses import asdict, fields, replace

from sqlalchemy import insert, select

from retention.deciding.plan_overrides import PlanOverride
from retention.store.database import Database, next_number
from retention.store.tables import PLAN_OVERRIDES

NOTHING = "nothing decided"


class PlanOverrides:
    """One row per decision with the one before it; the last one of a customer holds."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, override: PlanOverride) -> str:
        """Append a decision that `retention.deciding.plan_overrides.check` has let pass; return the one before."""
        own = PLAN_OVERRIDES.c.customer_id == override.customer_id
        with self._database.write() as connection:
            query = select(*_COLUMNS).where(own).order_by(PLAN_OVERRIDES.c.number.desc()).limit(1)
            row = connection.execute(query).mappings().one_or_none()
            before = NOTHING if row is None else PlanOverride(**row).summarise()
            numbered = replace(override, number=next_number(connection, PLAN_OVERRIDES))
            values = {"before": before, "after": override.summarise()}
            connection.execute(insert(PLAN_OVERRIDES).values(**asdict(numbered), **values))
        return before

    def read(self, customer_id: str | None = None) -> list[PlanOverride]:
        """Return every decision, or those about one customer, the oldest first."""
        query = select(*_COLUMNS).order_by(PLAN_OVERRIDES.c.number)
        if customer_id is not None:
            query = query.where(PLAN_OVERRIDES.c.customer_id == customer_id)
        with self._database.read() as connection:
            return [PlanOverride(**row) for row in connection.execute(query).mappings()]


_COLUMNS = [PLAN_OVERRIDES.c[field.name] for field in fields(PlanOverride)]
