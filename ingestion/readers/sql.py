"""Databases, read by dlt in Arrow batches."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

import duckdb
from pydantic import Field

from company.company_file import Feed
from company.file_faults import SourceError, suggest
from ingestion.readers.base import Context, Reader, ReaderSettings
from ingestion.readers.extract import Extract, Request, described, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

_INTO = "landing_source"
_CUSTOMERS_TO_TRY = 1_000_000
_BATCH_ROWS = 50_000
_SCALE = 9
_CONNECT_SECONDS = 10


class Settings(ReaderSettings):
    """A database: `connection` names the secret that holds its SQLAlchemy address."""

    reader: Literal["sql"]
    connection: str
    database_schema: str | None = Field(default=None, alias="schema")

    def secret_names(self) -> tuple[str, ...]:
        """Return the name of the address."""
        return (self.connection,)

    def rows_to_try(self, table: str) -> int:
        """Return a list of customers whole, as a rule: the rows of other tables are compared with it."""
        return _CUSTOMERS_TO_TRY if table == "customers" else super().rows_to_try(table)

    def open(self, context: Context) -> Reader:
        """Return the reader of one feed."""
        return SqlReader(settings=self, context=context)


@dataclass(frozen=True, kw_only=True)
class SqlReader(Reader):
    """Reads what one feed takes from a database, whose address is among the secrets of the `context`."""

    settings: Settings
    context: Context

    def extract(self, connection: duckdb.DuckDBPyConnection, asked: Request) -> Extract:
        """Copy what the feed reads into a temporary table, batch by batch, and return it.

        Reads only rows whose incremental column is null or not less than the cursor that is asked for, less the feed's
        lookback. Raises SourceError when the database does not answer or has no such table.
        """
        feed, key = self.context.feed, f"{self.context.key}.from"
        engine = self._connect()
        try:
            start = reach_back(connection, asked.since, hours=feed.lookback_hours)
            pages = self._pages(engine, key, feed, most=asked.most, since=start)
            copy_batches(connection, pages, into=_INTO)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; all of it is the source's fault
            raise self.context.error(key, f"the database refused ({self._said(error)}).", _QUERY_MEND) from None
        finally:
            engine.dispose()
        types = described(connection, f"select * from temp.{_INTO}")
        is_typed = (
            not _is_query(feed) and connection.execute(f"select 1 from temp.{_INTO} limit 1").fetchone() is not None
        )
        return Extract(
            relation=f"temp.{_INTO}",
            columns={name: kind if is_typed else "" for name, kind in types.items()},
            cursor=self._reached(connection, feed, types),
        )

    def _reached(self, connection: duckdb.DuckDBPyConnection, feed: Feed, types: Mapping[str, str]) -> str | None:
        if feed.incremental is None:
            return None
        if feed.incremental not in types:
            place = f"{self.context.key}.incremental"
            problem = f"the column `{feed.incremental}` does not exist there."
            raise self.context.error(place, problem, suggest(feed.incremental, types))
        row = connection.execute(f"select max({quoted(feed.incremental)})::varchar from temp.{_INTO}").fetchone()
        return row[0] if row else None

    def _connect(self) -> "sa.Engine":
        import sqlalchemy as sa

        key = f"{self.context.source_key}.connection"
        name = self.settings.connection
        address = self.context.secrets.get(name, "").strip()
        if not address:
            fix = (
                "Set it to an address such as `postgresql+psycopg2://user:password@host/database`, or put it in `.env`."
            )
            raise self.context.error(key, f"the environment variable `{name}` is not set.", fix)
        try:
            engine = sa.create_engine(address, connect_args=_patience(address))
            engine.connect().close()
        except Exception as error:  # noqa: BLE001
            fix = f"Check that the server runs, that it can be reached from here, and the address in `{name}`."
            raise self.context.error(key, f"the database cannot be reached ({self._said(error)}).", fix) from None
        return engine

    def _pages(
        self, engine: "sa.Engine", key: str, feed: Feed, *, most: int | None, since: str | None
    ) -> Iterator["pa.Table"]:
        from dlt.sources.sql_database import sql_table

        table = (
            self._describe_query(engine, feed.relation)
            if _is_query(feed)
            else self._reflect(engine, key, feed.relation)
        )
        resource = sql_table(
            credentials=engine,
            table=table.name,
            metadata=table.metadata,
            backend="pyarrow",
            chunk_size=most or _BATCH_ROWS,
            reflection_level="minimal" if _is_query(feed) else "full",
            query_adapter_callback=lambda _, reflected: _question(
                reflected, feed, since, is_typeless=engine.dialect.name == "sqlite"
            ),
        )
        is_empty = True
        for page in resource.add_limit(max_items=1) if most else resource:
            is_empty = False
            yield page
        if is_empty:
            yield _no_rows(table)

    def _reflect(self, engine: "sa.Engine", key: str, relation: str) -> "sa.Table":
        import sqlalchemy as sa

        schema, _, name = relation.rpartition(".")
        metadata = sa.MetaData(schema=schema or self.settings.database_schema)
        inspector = sa.inspect(engine)
        known = [*inspector.get_table_names(metadata.schema), *inspector.get_view_names(metadata.schema)]
        if name not in known:
            raise self.context.error(key, f"the database has no table `{relation}`.", suggest(name, known))
        table = sa.Table(name, metadata, autoload_with=engine, resolve_fks=False)
        if engine.dialect.name == "sqlite":
            for column in _unbounded(table):
                column.type = sa.Double()
        return table

    def _describe_query(self, engine: "sa.Engine", query: str) -> "sa.Table":
        """Describe the rows of a query as a table, so that dlt can read it; types are taken from the values."""
        import sqlalchemy as sa

        with engine.connect() as opened:
            names = list(opened.execute(sa.text(f"select * from ({_escaped(query)}) probe where 1 = 0")).keys())
        return sa.Table("query", sa.MetaData(), *(sa.Column(name, sa.String) for name in names))

    def _said(self, error: Exception) -> str:
        """Return the first line of what a driver said, without the address or a value that it may repeat."""
        import sqlalchemy as sa

        found = next((cause for cause in _causes(error) if isinstance(cause, sa.exc.SQLAlchemyError)), error)
        if isinstance(found, sa.exc.DataError) or not isinstance(found, sa.exc.SQLAlchemyError):
            return type(found).__name__
        said = str(getattr(found, "orig", found)).strip().splitlines() or [type(found).__name__]
        return said[0].replace(self.context.secrets.get(self.settings.connection, "\0").strip(), "***")


_OFFSET = re.compile(r"([+-]\d{2}(:?\d{2})?|Z)$")
_QUERY_MEND = "Try the same `from` in the database's own client."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reach_back(connection: duckdb.DuckDBPyConnection, since: str | None, *, hours: float) -> str | None:
    """Return the moment `since` less some `hours`, in the form it came in; other cursors are returned as they are."""
    if since is None or not hours:
        return since
    kind = "timestamptz" if _OFFSET.search(since) else "timestamp"
    query = f"select (try_cast(? as {kind}) - to_microseconds(cast(? * 3600000000 as bigint)))::varchar"
    row = connection.execute(query, [since, hours]).fetchone()
    return row[0] if row and row[0] else since


def copy_batches(connection: duckdb.DuckDBPyConnection, batches: Iterator["pa.Table"], *, into: str) -> None:
    """Write Arrow `batches` to the temporary table `into`, widening columns as later batches need it."""
    import pyarrow as pa

    schema: Any = None
    for batch in batches:
        merged = (
            batch.schema if schema is None else pa.unify_schemas([schema, batch.schema], promote_options="permissive")
        )
        connection.register("landing_batch", batch)
        if schema is None:
            connection.execute(f"create or replace temp table {into} as from landing_batch")
        else:
            _widen(connection, into, schema, merged)
            connection.execute(f"insert into {into} by name from landing_batch")
        schema = merged
        connection.unregister("landing_batch")


def _widen(connection: duckdb.DuckDBPyConnection, into: str, old: Any, new: Any) -> None:  # noqa: ANN401 - Arrow schemas
    for field in new:
        held = old.field(field.name) if field.name in old.names else None
        if held is not None and held.type == field.type:
            continue
        connection.register("landing_type", new.empty_table().select([field.name]))
        wanted = connection.execute("describe landing_type").fetchall()[0][1]
        connection.unregister("landing_type")
        change = (
            f"alter {quoted(field.name)} type {wanted}" if held is not None else f"add {quoted(field.name)} {wanted}"
        )
        connection.execute(f"alter table {into} {change}")


def _is_query(feed: Feed) -> bool:
    return " " in feed.relation.strip()


def _escaped(query: str) -> str:
    return query.replace(":", "\\:")


def _unbounded(table: "sa.Table") -> "list[sa.Column[Any]]":
    """Return the decimal columns that may hold more digits behind the point than are carried over."""
    import sqlalchemy as sa

    def is_unbounded(kind: "sa.types.TypeEngine[Any]") -> bool:
        if not isinstance(kind, sa.Numeric) or isinstance(kind, sa.Float):
            return False
        return kind.scale is None or kind.scale > _SCALE

    return [column for column in table.columns if is_unbounded(column.type)]


def _question(
    table: "sa.Table", feed: Feed, since: str | None, *, is_typeless: bool
) -> "sa.Select[Any] | sa.TextClause":
    """Return what is asked of the database: the table or query, from `since` on where rows are read as they come.

    Decimals without a declared scale are rounded there to the digits that are carried over. SQLite keeps moments as
    text in whatever form they were written, so that there the cursor is compared as text. Rows without a value in the
    incremental column are always asked for: nothing would ever tell that they are new.
    """
    import sqlalchemy as sa

    if _is_query(feed):
        return _question_of_query(feed, since)
    rounded = {column.name for column in _unbounded(table)}
    columns = [sa.func.round(c, _SCALE, type_=c.type).label(c.name) if c.name in rounded else c for c in table.columns]
    select = sa.select(*(c if is_typeless else _within_calendar(c) for c in columns))
    if since is None or feed.incremental is None:
        return select
    column = table.columns[feed.incremental]
    typed = sa.literal(_as_python(column.type, since), column.type)
    start = sa.literal(since, sa.String()) if is_typeless else typed
    return select.where(sa.or_(column >= start, column.is_(None)))


def _within_calendar(column: "sa.ColumnElement[Any]") -> "sa.ColumnElement[Any]":
    """Return a column whose moments beyond what Python can hold, infinity among them, are the first or the last day."""
    import sqlalchemy as sa

    if not isinstance(column.type, sa.Date | sa.DateTime):
        return column
    zone = UTC if getattr(column.type, "timezone", False) else None
    ends = [datetime(1, 1, 3, tzinfo=zone), datetime(9999, 12, 29, tzinfo=zone)]
    days = [end.date() if isinstance(column.type, sa.Date) else end for end in ends]
    first, last = (sa.literal(day, column.type) for day in days)
    return sa.case((column < first, first), (column > last, last), else_=column).label(column.name)


def _question_of_query(feed: Feed, since: str | None) -> "sa.TextClause":
    import sqlalchemy as sa

    query, column = _escaped(feed.relation), feed.incremental
    if since is None:
        return sa.text(query)
    wrapped = f"select * from ({query}) feed where {column} >= :since or {column} is null"
    return sa.text(wrapped).bindparams(since=since)


def _as_python(kind: "sa.types.TypeEngine[Any]", value: str) -> object:
    """Return a cursor, kept as text, as the value that a column of this type is compared with."""
    if kind.python_type is datetime:
        return datetime.fromisoformat(value)
    if kind.python_type is date:
        return date.fromisoformat(value)
    return kind.python_type(value)


def _patience(address: str) -> dict[str, int]:
    """Return driver arguments that end a hopeless connection, for the drivers that know them."""
    return {"connect_timeout": _CONNECT_SECONDS} if address.startswith(("postgresql", "mysql", "mariadb")) else {}


def _no_rows(table: "sa.Table") -> "pa.Table":
    """Return an empty page with the columns of `table`, as text: a table without rows still has columns."""
    import pyarrow as pa

    return pa.table({column.name: pa.array([], pa.string()) for column in table.columns})
