"""Recipients: in which language a customer is written to, and which tokens stand for the addresses in the vault."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from retention.store.database import Database, insert_frame
from retention.store.ledger import chunks
from retention.store.tables import RECIPIENTS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where the vault keeps an address of a customer: under which source, account and token."""

    customer_id: str
    source: str
    account: str
    token: str


class Recipients:
    """One row per customer for whom a message was planned, as the latest run knew them."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def replace(self, recipients: "pd.DataFrame") -> None:
        """Put rows in the place of those of the same customers; columns are those of the table."""
        rows = recipients[[column.name for column in RECIPIENTS.columns]]
        with self._database.write() as connection:
            for part in chunks(rows["customer_id"].tolist()):
                connection.execute(delete(RECIPIENTS).where(RECIPIENTS.c.customer_id.in_(part)))
            insert_frame(connection, RECIPIENTS, rows)

    def languages(self, customers: Sequence[str]) -> dict[str, str]:
        """Return the language of those customers whose language is known."""
        query = select(RECIPIENTS.c.customer_id, RECIPIENTS.c.language).where(RECIPIENTS.c.language.is_not(None))
        with self._database.read() as connection:
            return {
                row.customer_id: row.language
                for part in chunks(customers)
                for row in connection.execute(query.where(RECIPIENTS.c.customer_id.in_(part)))
            }

    def references(self, customers: Sequence[str], address: str) -> list[Reference]:
        """Return where the vault keeps the customers' addresses of a kind, `email` or `phone`."""
        source, account, token = (RECIPIENTS.c[f"{address}_{part}"] for part in ("source", "account", "token"))
        query = select(RECIPIENTS.c.customer_id, source.label("source"), account.label("account"), token.label("token"))
        with self._database.read() as connection:
            return [
                Reference(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
                for part in chunks(customers)
                for row in connection.execute(query.where(token.is_not(None), RECIPIENTS.c.customer_id.in_(part)))
            ]
