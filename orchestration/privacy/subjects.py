"""Whom a request is about: all accounts that identity linked, and every value by which they are found."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from secrets import token_hex
from uuid import uuid4

import duckdb
from sqlalchemy import select

from company.contract import TABLES
from ingestion.vault import Asked, Vault
from orchestration.deployment import Deployment
from orchestration.resources import open_warehouse
from privacy.identifiers import Identifiers, is_distinctive
from retention.store.store import Store
from retention.store.tables import ALERTS, LEDGER, OUTBOX

ASKER = "holdfast privacy"
_PIECE = 500


def find_linked_ids(
    deployment: Deployment, customers: Iterable[str], *, with_contacts: bool = False
) -> tuple[str, ...]:
    """Return the ids themselves and those of all linked accounts; of a company, if asked, those of its contacts too."""
    found = set(customers)
    with open_warehouse(deployment.settings).connect() as connection:
        if with_contacts:
            for table in _raw_tables(connection, "parent_customer_id"):
                found |= _ask(connection, table, "customer_id", "parent_customer_id", found)
        if _has_table(connection, "identity", "members"):
            members = "identity.members"
            canonical = found | _ask(connection, members, "canonical_id", "customer_id", found)
            found = canonical | _ask(connection, members, "customer_id", "canonical_id", canonical)
    return tuple(sorted(found))


def is_known(deployment: Deployment, customers: Iterable[str]) -> bool:
    """Tell whether a list of customers holds one of the ids."""
    with open_warehouse(deployment.settings).connect() as connection:
        lists = [table for table in _raw_tables(connection, "customer_id") if table.endswith('."customers"')]
        return any(_ask(connection, table, "customer_id", "customer_id", set(customers)) for table in lists)


def find_identifiers(
    deployment: Deployment, store: Store, accounts: Sequence[str], *, vault: Vault | None, purpose: str, at: datetime
) -> Identifiers:
    """Return everything by which the accounts are found in any store; the vault records that it was asked."""
    with open_warehouse(deployment.settings).connect() as connection:
        owned = list_personal(connection, accounts, of_nobody_else=True)
        ambiguous = _find_ambiguous(connection, accounts)
    keys = _find_keys(store, accounts)
    return Identifiers(
        customers=tuple(accounts),
        keys=keys,
        tokens=tuple(sorted({asked.token for asked in owned})),
        clear=_reveal(vault, owned, purpose=purpose, at=at) if vault else (),
        renamed=tuple(f"anon_{uuid4().hex[:16]}" for _ in accounts),
        renamed_keys=tuple(token_hex(len(key) // 2) for key in keys),
        ambiguous=ambiguous,
    )


def list_personal(
    connection: duckdb.DuckDBPyConnection, accounts: Sequence[str], *, of_nobody_else: bool = False
) -> list[Asked]:
    """Return the personal values of the accounts by source, account, column and token; or those nobody else has."""
    found: list[Asked] = []
    for schema, table in _list_raw(connection):
        personal = [column.name for column in TABLES[table].columns if column.personal] if table in TABLES else []
        for column in personal:
            relation = f'{schema}."{table}"'
            theirs = f"""select customer_id, "{column}" as value from {relation}
                where customer_id in (select unnest($ids::varchar[])) and value is not null"""
            rows = connection.execute(
                f"""with theirs as ({theirs}), owned as (
                    select "{column}" as value from {relation} where "{column}" in (select value from theirs)
                    group by all
                    having bool_and(customer_id in (select unnest($ids::varchar[]))) or not {of_nobody_else}
                ) select distinct customer_id, value from theirs where value in (select value from owned)""",
                {"ids": list(accounts)},
            ).fetchall()
            source = schema.removeprefix("raw_")
            found += [Asked(source=source, customer_id=owner, column=column, token=token) for owner, token in rows]
    return found


def _reveal(vault: Vault, owned: Sequence[Asked], *, purpose: str, at: datetime) -> tuple[str, ...]:
    clear = vault.reveal_all(owned, asker=ASKER, purpose=purpose, at=at.replace(tzinfo=None))
    return tuple(sorted(set(clear.values())))


def _find_ambiguous(connection: duckdb.DuckDBPyConnection, accounts: Sequence[str]) -> tuple[str, ...]:
    """Return the ids that stand within an id of somebody else, and cannot be searched for in bytes."""
    searched = [each for each in accounts if is_distinctive(each)]
    found: set[str] = set()
    for table in _raw_tables(connection, "customer_id"):
        if not table.endswith('."customers"'):
            continue
        rows = connection.execute(
            f"""select distinct value from (
                select customer_id, unnest($searched::varchar[]) as value from {table}
                where not list_contains($ids::varchar[], customer_id)
            ) where contains(customer_id, value)""",
            {"searched": searched, "ids": list(accounts)},
        ).fetchall()
        found |= {value for (value,) in rows}
    return tuple(sorted(found))


def _find_keys(store: Store, accounts: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the accounts' messages, alerts and ledger entries, which are made from the ids."""
    found: set[str] = set()
    with store.database.read() as connection:
        for start in range(0, len(accounts), _PIECE):
            piece = accounts[start : start + _PIECE]
            for key in (OUTBOX.c.idempotency_key, ALERTS.c.alert_id, LEDGER.c.entry_id):
                found |= set(connection.scalars(select(key).where(key.table.c.customer_id.in_(piece))))
    return tuple(sorted(found))


def _list_raw(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute(
        "select schema_name, table_name from duckdb_tables() where starts_with(schema_name, 'raw_') "
        "and database_name = current_database() order by all"
    ).fetchall()


def _raw_tables(connection: duckdb.DuckDBPyConnection, column: str) -> list[str]:
    rows = connection.execute(
        "select schema_name, table_name from duckdb_columns() where starts_with(schema_name, 'raw_') "
        "and database_name = current_database() and column_name = ? order by all",
        [column],
    ).fetchall()
    return [f'"{schema}"."{table}"' for schema, table in rows]


def _has_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    return (schema, table) in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()


def _ask(
    connection: duckdb.DuckDBPyConnection, relation: str, answer: str, column: str, values: Iterable[str]
) -> set[str]:
    """Return the distinct values of one column in the rows whose other column has one of `values`."""
    rows = connection.execute(
        f"select distinct {answer} from {relation} where {column} in (select unnest($values::varchar[]))",
        {"values": sorted(values)},
    ).fetchall()
    return {value for (value,) in rows if value is not None}
