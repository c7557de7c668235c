"""The published copy of what people read, and segments of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from company.encryption import open_file


class SegmentError(Exception):
    """A filter cannot be used; the message is one paragraph that names it and the fix."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """The published copy at `path`, for any number of readers; nothing outside the file can be reached through it."""

    path: Path
    key: str = field(default="", repr=False)

    def segment(self, condition: str, *, limit: int) -> "Segment":
        """Return how many customers meet `condition`, an SQL condition, the money at risk, and the first of them."""
        with self._open() as connection:
            total = _ask(connection, condition, "count(*), coalesce(sum(money_at_risk), 0)", "")
            first = _ask(
                connection, condition, "*", f"order by money_at_risk desc nulls last, customer_id limit {limit}"
            )
        count, money = total.to_pylist()[0].values()
        return Segment(count=count, money_at_risk=float(money), customers=first)

    @contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self.path.exists():
            raise SegmentError(f"{self.path}: nothing is published yet. Run the pipeline first: `holdfast run`.")
        # the first rows are found by the columns that the condition reads; only theirs are then read whole
        connection = open_file(
            self.path, key=self.key, is_read_only=True, config={"late_materialization_max_rows": 1000}
        )
        try:
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            yield connection
        finally:
            connection.close()


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The customers who meet a condition: how many, the money at risk, and the first by it."""

    count: int
    money_at_risk: float
    customers: pa.Table


def _ask(connection: duckdb.DuckDBPyConnection, condition: str, what: str, order: str) -> pa.Table:
    query = f"select {what} from customers where (\n{condition}\n) {order}"
    try:
        if len(connection.extract_statements(query)) != 1:
            raise SegmentError(f"`{condition}` is more than one condition. Join conditions by `and` or `or`.")
        return connection.execute(query).to_arrow_table()
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        known = ", ".join(row[0] for row in connection.execute("describe customers").fetchall())
        raise SegmentError(f"`{condition}` cannot be used: {said}. The columns are: {known}.") from None


def published_in(home: Path, *, key: str = "") -> Published:
    """Return the published snapshot of the instance at `home`, encrypted where there is a key."""
    return Published(path=home / "published" / "holdfast.duckdb", key=key)
