"""Whom rows speak of: how many name a customer that a list of customers holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from company.contract import TABLES


@dataclass(frozen=True, kw_only=True)
class KnownCustomers:
    """Of the `rows` of a table that name a customer, `unknown` name one whom no list of customers holds."""

    rows: int
    unknown: int

    @property
    def share_unknown(self) -> float:
        """The share of rows of unknown customers, between 0 and 1."""
        return self.unknown / self.rows if self.rows else 0.0


def names_customers(table: str) -> bool:
    """Tell whether rows of the canonical `table` name a customer of the customer list."""
    return table != "customers" and "customer_id" in TABLES[table].names


def count_known(connection: duckdb.DuckDBPyConnection, relation: str, lists: Sequence[str]) -> KnownCustomers:
    """Count the rows of `relation` whose customers the relations `lists` hold."""
    known = " union all ".join(f"select customer_id from {one}" for one in lists)
    query = f"select count(customer_id), count_if(customer_id not in ({known})) from {relation}"
    rows, unknown = connection.execute(query).fetchone() or (0, 0)
    return KnownCustomers(rows=rows, unknown=unknown or 0)
