"""The life of strategies: every review of a month, and what people decided instead. Append-only."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace

from sqlalchemy import insert, select

from retention.measuring.lifecycle import Review
from retention.store.database import Database, digest, next_number
from retention.store.tables import STRATEGY_REVIEWS


class StrategyReviews:
    """One row per review, the last one of a strategy holding."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, reviews: Sequence[Review]) -> list[Review]:
        """Append reviews in one transaction, and return them numbered."""
        with self._database.write() as connection:
            first = next_number(connection, STRATEGY_REVIEWS)
            numbered = [replace(each, number=first + place) for place, each in enumerate(reviews)]
            for each in numbered:
                identity = digest("strategy review", str(each.number), each.strategy_id)
                connection.execute(insert(STRATEGY_REVIEWS).values(review_id=identity, **asdict(each)))
        return numbered

    def read(self) -> list[Review]:
        """Return every review, the oldest first."""
        columns = [STRATEGY_REVIEWS.c[field.name] for field in fields(Review)]
        with self._database.read() as connection:
            rows = connection.execute(select(*columns).order_by(STRATEGY_REVIEWS.c.number)).mappings()
            return [Review(**row) for row in rows]
