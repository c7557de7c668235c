"""The audit log: who did what on the desk, was refused, or looked at a single customer. Append-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select

from retention.store.database import Database, next_number
from retention.store.tables import AUDIT_LOG

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that was done: by whom, what, with which customer or which account or alert, and its before and after.

    `detail` never holds personal data: it stays for ever.
    """

    done_at: datetime
    done_by: str
    action: str
    customer_id: str | None = None
    subject: str | None = None
    detail: str = ""


class AuditLog:
    """One row per entry, in their order."""

    def __init__(self, database: Database) -> None:
        """Keep it in `database`."""
        self._database = database

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        with self._database.write() as connection:
            add_entry(connection, entry)

    def read(
        self, *, customer_id: str | None = None, without: str | None = None, before: int | None = None, limit: int
    ) -> "list[RowMapping]":
        """Return entries, of one customer or of all, `without` an action, those before a number, the newest first."""
        query = select(AUDIT_LOG).order_by(AUDIT_LOG.c.number.desc()).limit(limit)
        if customer_id is not None:
            query = query.where(AUDIT_LOG.c.customer_id == customer_id)
        if without is not None:
            query = query.where(AUDIT_LOG.c.action != without)
        if before is not None:
            query = query.where(AUDIT_LOG.c.number < before)
        with self._database.read() as connection:
            return list(connection.execute(query).mappings())


def add_entry(connection: Connection, entry: Entry) -> None:
    """Add an entry in a transaction that does what it describes."""
    add_entries(connection, [entry])


def add_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add entries in their order."""
    if entries:
        first = next_number(connection, AUDIT_LOG)
        rows = [{"number": number, **vars(entry)} for number, entry in enumerate(entries, start=first)]
        connection.execute(insert(AUDIT_LOG), rows)
