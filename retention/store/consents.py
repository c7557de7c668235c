"""Consents as they were last known: of customers for whom a message was planned, from feeds, people and callbacks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select

from retention.store.database import Database, digest
from retention.store.ledger import chunks
from retention.store.tables import CONSENTS

if TYPE_CHECKING:
    import pandas as pd

MARKETING, ALL = "marketing", "all"


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One consent given or withdrawn; `reported_by` is a feed or a person."""

    customer_id: str
    purpose: str
    channel: str
    is_granted: bool
    changed_at: datetime
    reported_by: str

    def covers(self, *, purpose: str, channel: str) -> bool:
        """Tell whether it is about messages of that purpose by that channel, in the words of consents."""
        return self.purpose in {purpose, ALL} and self.channel in {channel, ALL}


class Consents:
    """One row per change, append-only; the latest change that covers a message decides."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, consents: Iterable[Consent], *, at: datetime) -> int:
        """Record changes that are not there yet; return how many were new."""
        rows = {_consent_id(each): asdict(each) | {"recorded_at": at} for each in consents}
        with self._database.write() as connection:
            new = set(rows) - _known(connection, list(rows))
            if new:
                connection.execute(insert(CONSENTS), [rows[each] | {"consent_id": each} for each in sorted(new)])
        return len(new)

    def read(self) -> "pd.DataFrame":
        """Return every change, the oldest first."""
        return self._database.read_frame(select(CONSENTS).order_by(CONSENTS.c.changed_at, CONSENTS.c.consent_id))


def read_consents(connection: Connection, customers: Sequence[str]) -> dict[str, list[Consent]]:
    """Return the changes of some customers, within a transaction that stands on them."""
    found: dict[str, list[Consent]] = {}
    columns = [CONSENTS.c[name] for name in Consent.__dataclass_fields__]
    for part in chunks(customers):
        for row in connection.execute(select(*columns).where(CONSENTS.c.customer_id.in_(part))):
            found.setdefault(row.customer_id, []).append(Consent(**row._mapping))  # noqa: SLF001 - documented name
    return found


def find_withdrawal(consents: Iterable[Consent], *, purpose: str, channel: str, at: datetime) -> Consent | None:
    """Return the withdrawal that forbids messages at a moment, None when nothing known forbids them.

    Of changes at the same moment the withdrawal counts.
    """
    known = [each for each in consents if each.covers(purpose=purpose, channel=channel) and each.changed_at <= at]
    latest = max(known, key=lambda each: (each.changed_at, not each.is_granted), default=None)
    return latest if latest is not None and not latest.is_granted else None


def _consent_id(consent: Consent) -> str:
    return digest(*(str(value) for value in asdict(consent).values()))


def _known(connection: Connection, ids: Sequence[str]) -> set[str]:
    query = select(CONSENTS.c.consent_id)
    return {each for part in chunks(ids) for each in connection.scalars(query.where(CONSENTS.c.consent_id.in_(part)))}
