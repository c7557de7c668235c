"""Whether two tables hold the same rows, without their being next to each other."""

import duckdb


def digest_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, str]:
    """Return count and hash of the rows of a table or of a query in brackets: equal rows in any order, equal hash."""
    query = f"select count(*), coalesce(sum(cast(hash(entry) as hugeint)), 0)::varchar from {relation} as entry"
    return connection.execute(query).fetchone() or (0, "")
