"""Customers whom no landing takes in again: known by keyed tokens of their ids alone."""

from dataclasses import dataclass

import duckdb

from ingestion.classifying import STAGE, Classified, count
from ingestion.readers.extract import quoted
from ingestion.tokens import tokeniser

OWNER, PARENT = "customer_id", "parent_customer_id"


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Tokens of the ids that are kept out, made under `key`; `privacy.identifiers.Keyring` makes the same in Python."""

    tokens: frozenset[str]
    key: str

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return f"Suppression({len(self.tokens)} ids)"

    def apply(self, connection: duckdb.DuckDBPyConnection, classified: Classified) -> Classified:
        """Take the rows of these customers out of the stage, as if the source had not sent them; return the new counts.

        Of a row that only refers to one of them, as a contact person to a company, the reference goes.
        """
        columns = {row[0] for row in connection.execute(f"describe {STAGE}").fetchall()}
        if not self.tokens or OWNER not in columns:
            return classified
        removed = self._execute(connection, f"delete from {STAGE} where {self._is_kept_out(OWNER)}")
        if PARENT in columns:
            self._execute(connection, f"update {STAGE} set {PARENT} = null where {self._is_kept_out(PARENT)}")
        if not removed:
            return classified
        return count(connection, classified.faults, classified.fixes, rows_in=classified.rows_in - removed)

    def _is_kept_out(self, column: str) -> str:
        token = tokeniser(self.key).token(f"'customer:' || {quoted(column)}::varchar")
        return f"{quoted(column)} is not null and {token} in (select unnest($kept_out::varchar[]))"

    def _execute(self, connection: duckdb.DuckDBPyConnection, statement: str) -> int:
        given = {**tokeniser(self.key).parameters, "kept_out": sorted(self.tokens)}
        row = connection.execute(statement, given).fetchone()
        return int(row[0]) if row else 0
