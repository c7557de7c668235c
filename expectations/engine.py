"""Great Expectations on DuckDB: a datasource whose engine keeps its one connection, and one expectation of our own.

The library hands a finished query's connection back before it reads the rows, except for a list of dialects on which
duckdb does not stand, and a DuckDB result dies with its connection. An engine and a datasource are all that is needed.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple

from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
from sqlalchemy import URL, Connection, Engine, event

from expectations.gate import Database

EngineClass = type[SqlAlchemyExecutionEngine]


class OneConnectionEngine(SqlAlchemyExecutionEngine):
    """An execution engine that runs every query, and keeps every temporary table, on one connection."""

    @contextmanager
    def get_connection(self) -> Generator[Connection, None, None]:
        """Yield the one connection, opened at first use."""
        if self._connection is None:
            self._connection = self.engine.connect()
        yield self._connection

    def close(self) -> None:
        """Give the database file free for other processes."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        super().close()


class DuckDBDatasource(SQLDatasource):
    """A DuckDB file as a datasource, added to a context by `context.data_sources.add_duckdb`."""

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]

    @property
    def execution_engine_type(self) -> EngineClass:
        """The engine that the assets of this datasource run on."""
        return OneConnectionEngine


class ExpectNoOffenders(UnexpectedRowsExpectation):
    """Expect a query for offenders to answer with no row.

    The library's own row by row expectations echo the values they dislike and fetch all of them. This one shows what
    the query selects, which is keys, and asks once: the query brings the count of all offenders in every row.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)
    rule: str
    column: str | None = None
    remedy: str = ""
    is_warning: bool = False

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 - the library's signature
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002 - the library's signature
    ) -> dict[str, Any]:
        rows = [dict(row) for row in metrics["unexpected_rows_query.table"]]
        count = max((int(row.pop("count_offenders")) for row in rows), default=0)
        keys = [{name: str(value) for name, value in row.items()} for row in rows]
        shown = "; ".join(", ".join(f"{name} {value}" for name, value in key.items()) for key in keys[:5])
        observed = f"{count} offenders: {shown}" if count else "no offenders"
        return {"success": count == 0, "result": {"observed_value": observed, "count": count, "keys": keys}}


class Warehouse(NamedTuple):
    """The warehouse as two datasources.

    Query assets of `tables` run in place; those of `profiles` are computed once into a temporary table.
    """

    tables: DuckDBDatasource
    profiles: DuckDBDatasource


@contextmanager
def open_warehouse(context: AbstractDataContext, database: Database) -> Iterator[Warehouse]:
    """Connect `context` to a database and let go of it when the block ends."""
    location = URL.create("duckdb", database=database.address, query=database.config).render_as_string()
    add = context.data_sources.add_duckdb
    warehouse = Warehouse(
        tables=add("tables", connection_string=location),
        profiles=add("profiles", connection_string=location, create_temp_table=True),
    )
    for source in warehouse:
        for engine in (source.get_engine(), source.get_execution_engine().engine):
            _enter_always(engine, database)
    try:
        yield warehouse
    finally:
        for source in warehouse:
            source.get_execution_engine().close()
            source.get_engine().dispose()


def _enter_always(engine: Engine, database: Database) -> None:
    """Make every connection of an engine ready; one that the library opened to try it out is closed."""
    event.listen(engine, "connect", lambda opened, _: database.enter(opened.cursor()))
    engine.dispose()
