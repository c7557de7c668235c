"""The log of events in PostgreSQL, next to the operational store: for several collectors, on several machines."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    MetaData,
    String,
    Table,
    cast,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import REGCLASS, insert

from company.contract import ColumnType
from retention.store.database import open_engine
from serving.lane.log import COLUMNS, FIELDS, Read, Row

_LOCK = 7305463
_KINDS = {ColumnType.MOMENT: BigInteger, ColumnType.FLAG: Boolean, ColumnType.NUMBER: Double}
_SLICE = 10_000


@cache
def _table() -> Table:
    columns: list[Column[Any]] = [
        Column(c.name, _KINDS.get(c.type, String), nullable=not c.is_required, unique=c.name == "event_id")
        for c in COLUMNS
    ]
    position = Column("position", BigInteger, Identity(always=True), primary_key=True)
    received = Column("received_at", BigInteger, nullable=False)
    return Table("lane_events", MetaData(), position, *columns, received)


class PostgresLog:
    """A table of its own. Appends take turns by an advisory lock, so that events commit in the order of positions."""

    def __init__(self, url: str) -> None:
        """Open the log in a database, `postgresql://..`; its table is made when it is not there."""
        self._engine = open_engine(url)
        with self._engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _table().create(connection, checkfirst=True)

    def append(self, rows: Sequence[Row], *, received_at: int) -> None:
        """Add events in one transaction, which is durable when it has committed."""
        values = [dict(zip(FIELDS, row, strict=True)) | {"received_at": received_at} for row in rows]
        with self._engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(insert(_table()).on_conflict_do_nothing(), values)

    def read(self, *, after: int, limit: int) -> Sequence[Read]:
        """Return the next events behind a position."""
        c = _table().c
        query = select(*(c[name] for name in Read._fields)).where(c.position > after, c.is_test.is_not(True))
        with self._engine.connect() as connection:
            return [Read(*row) for row in connection.execute(query.order_by(c.position).limit(limit))]

    def last(self) -> int:
        """Return the position of the newest event."""
        with self._engine.connect() as connection:
            return int(connection.scalar(select(func.max(_table().c.position))) or 0)

    def issued(self) -> int:
        """Return the greatest position that was ever given."""
        sequence = cast(func.pg_get_serial_sequence(_table().name, "position"), REGCLASS)
        with self._engine.connect() as connection:
            return int(connection.scalar(select(func.pg_sequence_last_value(sequence))) or 0)

    def trim(self, *, before: int, upto: int) -> int:
        """Remove old events, some at a time, so that no append waits for long."""
        c, removed = _table().c, 0
        old = select(c.position).where(c.position <= upto, c.received_at < before).order_by(c.position).limit(_SLICE)
        while True:
            with self._engine.begin() as connection:
                count = connection.execute(delete(_table()).where(c.position.in_(old))).rowcount
            removed += count
            if count < _SLICE:
                return removed

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()
