"""Gates that a person lets pass for one day, by name and with a reason. Every override is kept."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select

from retention.store.database import digest
from retention.store.tables import GATE_OVERRIDES

if TYPE_CHECKING:
    import pandas as pd

    from retention.store.store import Store


@dataclass(frozen=True, kw_only=True)
class GateOverride:
    """A person let the gate at `seam` pass for one day."""

    seam: str
    as_of: date
    granted_by: str
    reason: str
    granted_at: datetime


class GateOverrides:
    """The overrides in the operational store."""

    def __init__(self, store: "Store") -> None:
        """Keep them in the database of `store`."""
        self._database = store.database

    def grant(self, seam: str, as_of: date, *, by: str, reason: str, at: datetime) -> GateOverride:
        """Let one gate pass for one day; asking again keeps the first answer.

        Raises ValueError without a name or a reason.
        """
        if not by.strip() or not reason.strip():
            raise ValueError("Overriding a gate needs the name of a person and a reason; pass both.")
        granted = GateOverride(seam=seam, as_of=as_of, granted_by=by, reason=reason, granted_at=at)
        with self._database.write() as connection:
            return _find(connection, seam, as_of) or _insert(connection, granted)

    def find(self, seam: str, as_of: date) -> GateOverride | None:
        """Return who let a gate pass for a day and why, None when nobody did."""
        with self._database.read() as connection:
            return _find(connection, seam, as_of)

    def read(self) -> "pd.DataFrame":
        """Return every override, oldest first."""
        return self._database.read_frame(select(GATE_OVERRIDES).order_by(GATE_OVERRIDES.c.granted_at))


def _find(connection: Connection, seam: str, as_of: date) -> GateOverride | None:
    is_same = (GATE_OVERRIDES.c.seam == seam) & (GATE_OVERRIDES.c.as_of == as_of)
    row = connection.execute(select(GATE_OVERRIDES).where(is_same)).mappings().first()
    return None if row is None else GateOverride(**{name: row[name] for name in GateOverride.__dataclass_fields__})


def _insert(connection: Connection, granted: GateOverride) -> GateOverride:
    identity = digest("override", granted.seam, granted.as_of.isoformat())
    connection.execute(insert(GATE_OVERRIDES).values(override_id=identity, **vars(granted)))
    return granted
