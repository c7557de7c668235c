"""Who is to be recognised: one record per customer id, and what each record claims to hold, as tokens only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import duckdb

from company.company_file import Company
from ingestion.identity.rules import Rules
from ingestion.readers.extract import quoted

PROFILE = ("name", "birth_date", "address", "phone", "email")
RECORDS, CLAIMS = "temp.identity_records", "temp.identity_claims"
_TABLES = ("customers", "identities", "events")


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """One landed table that says something about identity."""

    source: str
    table: str
    address: str


def has_evidence(company: Company) -> bool:
    """Tell whether a company connects anything by which two of its customer ids could be recognised as one."""
    maps = {name: [set(feed.columns) for feed in company.tables.get(name, ())] for name in _TABLES}
    has_ids = bool(maps["identities"]) or any("device_id" in columns for columns in maps["events"])
    return has_ids or any(len(columns & set(PROFILE)) > 1 for columns in maps["customers"])


def list_tables(connection: duckdb.DuckDBPyConnection, company: Company) -> tuple[RawTable, ...]:
    """Return the landed tables that hold evidence, in the company file's order; empty where there can be no link."""
    return tuple(_landed(connection, company)) if has_evidence(company) else ()


def _landed(connection: duckdb.DuckDBPyConnection, company: Company) -> Iterator[RawTable]:
    listed = "select schema_name || '.' || table_name from duckdb_tables() where database_name = current_database()"
    rows = connection.execute(listed).fetchall()
    there = {row[0] for row in rows}
    for table in _TABLES:
        for feed in company.tables.get(table, ()):
            schema = company.raw_schema(feed.source)
            is_useful = table != "events" or "device_id" in feed.columns
            if f"{schema}.{table}" in there and is_useful:
                yield RawTable(source=feed.source, table=table, address=f"{quoted(schema)}.{quoted(table)}")


def fingerprint(connection: duckdb.DuckDBPyConnection, tables: Sequence[RawTable]) -> str:
    """Return a text that changes with the rows of `tables`."""
    parts = [f"select '{t.address}' as t, count(*) as n, max(_landed_at) from {t.address}" for t in tables]
    if not parts:
        return ""
    return str(connection.execute(f"select * from ({' union all '.join(parts)}) order by all").fetchall())


def gather(connection: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], rules: Rules) -> int:
    """Make the temporary tables of records and claims; returns how many records there are.

    A customer id is the company's: the same id in two sources is the same record, with the profile of the source
    named first.
    """
    profiles = [_profile(table, rank) for rank, table in enumerate(_only(tables, "customers"))]
    none = (
        f"select null::integer as rank, {_nulls('source', 'customer_id', 'kind', *PROFILE)}, null::timestamp as came_at"
    )
    connection.execute(
        f"""
        create or replace temp table identity_profiles as
        select * from ({" union all by name ".join(profiles) or f"{none} where false"})
        where customer_id is not null
        qualify row_number() over (partition by customer_id order by rank) = 1
        """
    )
    connection.execute(f"create or replace {_temporary(CLAIMS)} as {_claims(tables)}")
    connection.execute(
        f"""
        create or replace {_temporary(RECORDS)} as
        with common as (
            select birth_date from identity_profiles where birth_date is not null group by birth_date
            having count(*) > {rules.most_owners}
            and count(*) > {rules.common_date_share} * (select count(birth_date) from identity_profiles)
        )
        select rank, source, customer_id, true as is_profiled, kind, {", ".join(PROFILE)}, came_at,
            coalesce(birth_date in (from common), false) as is_common_date
        from identity_profiles
        union all by name
        select min(sources[1]) as source, customer_id, false as is_profiled, false as is_common_date
        from {CLAIMS} c anti join identity_profiles p using (customer_id)
        group by customer_id
        """
    )
    connection.execute("drop table identity_profiles")
    row = connection.execute(f"select count(*) from {RECORDS}").fetchone()
    return int(row[0]) if row else 0


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables."""
    for table in (RECORDS, CLAIMS):
        connection.execute(f"drop table if exists {table}")


def pairs_of_keys() -> Iterator[tuple[str, str]]:
    """Return every two columns of a profile in which two records may agree."""
    yield from combinations(PROFILE, 2)


def _profile(table: RawTable, rank: int) -> str:
    """Return the query for the profiles of one source; a contact person's address is the company's and says nothing."""
    columns = ", ".join(name for name in PROFILE if name != "address")
    return f"""select {rank} as rank, '{table.source}' as source, customer_id, kind, {columns},
        case when parent_customer_id is null then address end as address, signed_up_at as came_at
        from {table.address}"""


def _claims(tables: Sequence[RawTable]) -> str:
    """Return the query for one row per customer, kind and token; `sources` are those that say so."""
    parts = [_held(table, "kind", "value", "is_verified") for table in _only(tables, "identities")]
    for table in _only(tables, "customers"):
        parts += [_held(table, f"'{name}'", name, "false") for name in ("email", "phone")]
    parts += [_held(table, "'device'", "device_id", "false") for table in _only(tables, "events")]
    none = f"select {_nulls('source', 'customer_id', 'kind', 'token')}, null::boolean as is_verified where false"
    return f"""
        select customer_id, kind, token, bool_or(coalesce(is_verified, false)) as is_verified,
            list(distinct source order by source) as sources
        from ({" union all ".join(parts) or none}) where customer_id is not null and token is not null
        group by customer_id, kind, token
        """


def _held(table: RawTable, kind: str, token: str, verified: str) -> str:
    return f"""select distinct '{table.source}' as source, customer_id, {kind} as kind, {token} as token,
        {verified} as is_verified from {table.address}"""


def _only(tables: Sequence[RawTable], name: str) -> list[RawTable]:
    return [table for table in tables if table.table == name]


def _nulls(*names: str) -> str:
    return ", ".join(f"null::varchar as {name}" for name in names)


def _temporary(name: str) -> str:
    return f"temp table {name.removeprefix('temp.')}"
