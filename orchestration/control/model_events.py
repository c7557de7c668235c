"""What happened to model versions: reviews by people, and every move of the champion. Append-only."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, insert, select

from retention.store.database import digest, next_number
from retention.store.tables import MODEL_EVENTS

if TYPE_CHECKING:
    import pandas as pd

    from retention.store.store import Store

APPROVED, REJECTED, PROMOTED, ROLLED_BACK = "approved", "rejected", "promoted", "rolled_back"
REVIEWS, MOVES = frozenset({APPROVED, REJECTED}), frozenset({PROMOTED, ROLLED_BACK})


@dataclass(frozen=True, kw_only=True)
class ModelEvent:
    """Something that happened to a model version: approved, rejected, promoted or rolled_back (to it).

    `number` counts all events; `request_id` is the retrain request that the version answers, where there was one.
    """

    number: int = 0
    version: str
    event: str
    decided_by: str
    comment: str
    recorded_at: datetime
    request_id: str | None = None


class ModelEvents:
    """The events in the operational store."""

    def __init__(self, store: "Store") -> None:
        """Keep them in the database of `store`."""
        self._database = store.database

    def review(self, version: str, *, approve: bool, by: str, comment: str, at: datetime) -> ModelEvent:
        """Record a person's verdict on a version; the same again changes nothing.

        Raises ValueError without a name, and when the version already has the opposite verdict.
        """
        if not by.strip():
            raise ValueError("A review needs the name of a person; pass it as `by`.")
        event = APPROVED if approve else REJECTED
        return self._record(ModelEvent(version=version, event=event, decided_by=by, comment=comment, recorded_at=at))

    def find_review(self, version: str) -> ModelEvent | None:
        """Return the verdict on a version, None while it waits for one."""
        with self._database.read() as connection:
            return _latest(connection, kinds=REVIEWS, version=version)

    def move_champion(
        self,
        version: str,
        *,
        by: str,
        comment: str,
        at: datetime,
        rolled_back: bool = False,
        request_id: str | None = None,
    ) -> ModelEvent:
        """Record that a version became the champion, by promotion or by rolling back to it.

        Moving the champion to where it is already changes nothing.
        """
        event = ROLLED_BACK if rolled_back else PROMOTED
        move = ModelEvent(version=version, event=event, decided_by=by, comment=comment, recorded_at=at)
        return self._record(replace(move, request_id=request_id))

    def champions(self) -> list[ModelEvent]:
        """Return every move of the champion, oldest first; a rollback goes to the one before the last."""
        query = select(MODEL_EVENTS).where(MODEL_EVENTS.c.event.in_(MOVES)).order_by(MODEL_EVENTS.c.number)
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]

    def read(self) -> "pd.DataFrame":
        """Return everything that happened to model versions, oldest first."""
        return self._database.read_frame(select(MODEL_EVENTS).order_by(MODEL_EVENTS.c.number))

    def _record(self, event: ModelEvent) -> ModelEvent:
        with self._database.write() as connection:
            return _find_same(connection, event) or _insert(connection, event)


def _find_same(connection: Connection, event: ModelEvent) -> ModelEvent | None:
    """Return the event that already says the same, None when this one is news."""
    if event.event in MOVES:
        last = _latest(connection, kinds=MOVES)
        return last if last is not None and last.version == event.version else None
    review = _latest(connection, kinds=REVIEWS, version=event.version)
    if review is not None and review.event != event.event:
        raise ValueError(
            f"The model version {event.version} was {review.event} by {review.decided_by}; it cannot be "
            f"{event.event} as well. Train a new version, or roll back."
        )
    return review


def _insert(connection: Connection, event: ModelEvent) -> ModelEvent:
    numbered = replace(event, number=next_number(connection, MODEL_EVENTS))
    identity = digest("model", str(numbered.number), event.version, event.event)
    connection.execute(insert(MODEL_EVENTS).values(event_id=identity, **vars(numbered)))
    return numbered


def _latest(connection: Connection, *, kinds: frozenset[str], version: str | None = None) -> ModelEvent | None:
    """Return the newest event of some kinds, of one version or of any."""
    query = select(MODEL_EVENTS).where(MODEL_EVENTS.c.event.in_(kinds)).order_by(MODEL_EVENTS.c.number.desc())
    if version is not None:
        query = query.where(MODEL_EVENTS.c.version == version)
    row = connection.execute(query).mappings().first()
    return None if row is None else _from_row(row)


def _from_row(row: RowMapping) -> ModelEvent:
    return ModelEvent(**{name: row[name] for name in ModelEvent.__dataclass_fields__})
