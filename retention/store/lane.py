"""The event lane's progress, moved in the transaction of its effects, and how nights compare with it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select, update

from retention.store.database import Database
from retention.store.tables import LANE_LESSONS, LANE_NIGHTS, LANE_PROGRESS

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import RowMapping

_NAME, _WAREHOUSE = "lane", "warehouse"


class LaneMovedError(Exception):
    """Another process has moved the lane on: two run at once."""


class LaneProgress:
    """A row for the lane, which moves only from where it stood, so that no event counts twice, and one for landing."""

    def __init__(self, database: Database) -> None:
        """Keep it in `database`."""
        self._database = database

    def read(self) -> "RowMapping | None":
        """Return the row, None before the lane has run."""
        return self._read(_NAME)

    def read_landed(self) -> int:
        """Return the position up to which events have landed in the warehouse, 0 before any has."""
        row = self._read(_WAREHOUSE)
        return 0 if row is None else int(row["position"])

    def record_landed(self, position: int, *, at: datetime) -> None:
        """Record up to which position events have landed; a replayed day takes nothing back."""
        values = {"position": max(position, self.read_landed()), "log_position": position, "beat_at": at}
        with self._database.write() as connection:
            its_row = LANE_PROGRESS.c.name == _WAREHOUSE
            if not connection.execute(update(LANE_PROGRESS).where(its_row).values(**values)).rowcount:
                connection.execute(insert(LANE_PROGRESS).values(name=_WAREHOUSE, **values))

    def _read(self, name: str) -> "RowMapping | None":
        with self._database.read() as connection:
            query = select(LANE_PROGRESS).where(LANE_PROGRESS.c.name == name)
            return connection.execute(query).mappings().one_or_none()

    def begin(self, *, at: datetime) -> int:
        """Return the position that effects reach, 0 on the first run."""
        row = self.read()
        if row is not None:
            return int(row["position"])
        with self._database.write() as connection:
            values = {"name": _NAME, "position": 0, "log_position": 0, "beat_at": at}
            connection.execute(insert(LANE_PROGRESS).values(**values))
        return 0

    def move(self, connection: Connection, *, since: int, to: int, at: datetime, about: Mapping[str, Any]) -> None:
        """Move on within a transaction. Raises LaneMovedError when it does not stand at `since`."""
        stands = (LANE_PROGRESS.c.name == _NAME) & (LANE_PROGRESS.c.position == since)
        moved = update(LANE_PROGRESS).where(stands).values(position=to, beat_at=at, **about)
        if connection.execute(moved).rowcount != 1:
            raise LaneMovedError("Another event lane works on this operational store; end one of them.")

    def record_night(
        self,
        as_of: date,
        groups: Sequence[Mapping[str, Any]],
        *,
        lessons: Sequence[Mapping[str, Any]] = (),
        forget: date = date.min,
    ) -> None:
        """Record how the lane's last probabilities compare with a night's, and what is to be learned from it.

        The first record of a night stays; lessons of nights before `forget` go.
        """
        with self._database.write() as connection:
            known = select(LANE_NIGHTS.c.as_of).where(LANE_NIGHTS.c.as_of == as_of).limit(1)
            if not groups or connection.scalar(known) is not None:
                return
            connection.execute(insert(LANE_NIGHTS), [{"as_of": as_of, **group} for group in groups])
            connection.execute(delete(LANE_LESSONS).where(LANE_LESSONS.c.as_of < forget))
            if lessons:
                connection.execute(insert(LANE_LESSONS), [{"as_of": as_of, **lesson} for lesson in lessons])

    def read_lessons(self, *, upto: date) -> "pd.DataFrame":
        """Return the lessons of nights up to a day, the oldest first."""
        query = select(LANE_LESSONS).where(LANE_LESSONS.c.as_of <= upto)
        return self._database.read_frame(query.order_by(LANE_LESSONS.c.as_of, LANE_LESSONS.c.number))

    def read_nights(self) -> "pd.DataFrame":
        """Return the comparisons, the newest night first."""
        order = (LANE_NIGHTS.c.as_of.desc(), LANE_NIGHTS.c.group_name)
        return self._database.read_frame(select(LANE_NIGHTS).order_by(*order))
