"""The event lane's progress, moved in the transaction of its effects, and how nights compare with it."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select, update

from retention.store.database import Database
from retention.store.tables import LANE_NIGHTS, LANE_PROGRESS

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

    def record_night(self, as_of: date, groups: "list[dict[str, Any]]") -> None:
        """Record how the lane's last probabilities compare with a night's; the first record of a night stays."""
        with self._database.write() as connection:
            known = select(LANE_NIGHTS.c.as_of).where(LANE_NIGHTS.c.as_of == as_of).limit(1)
            if groups and connection.scalar(known) is None:
                connection.execute(insert(LANE_NIGHTS), [{"as_of": as_of, **group} for group in groups])

    def read_nights(self) -> "pd.DataFrame":
        """Return the comparisons, the newest night first."""
        order = (LANE_NIGHTS.c.as_of.desc(), LANE_NIGHTS.c.group_name)
        return self._database.read_frame(select(LANE_NIGHTS).order_by(*order))
