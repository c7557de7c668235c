"""Whom a request is about: all accounts that identity linked, and every value by which they are found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from secrets import token_hex
from uuid import uuid4

import duckdb
from more_itertools import chunked
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
    deployment: Deployment, groups: Sequence[Iterable[str]], *, with_contacts: bool = False
) -> list[tuple[str, ...]]:
    """Return of each group of ids the ids themselves and those of all linked accounts.

    Of a company, if asked, those of its contacts too. However many groups there are, a table is asked once.
    """
    found = [{*ids} for ids in groups]
    with open_warehouse(deployment.settings).connect() as connection:
        if with_contacts:
            for table in _raw_tables(connection, "parent_customer_id"):
                _follow(connection, table, "parent_customer_id", "customer_id", found)
        if _has_table(connection, "identity", "members"):
            _follow(connection, "identity.members", "customer_id", "canonical_id", found)
            _follow(connection, "identity.members", "canonical_id", "customer_id", found)
    return [tuple(sorted(each)) for each in found]


def _follow(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, answer: str, groups: Sequence[set[str]]
) -> None:
    """Add to each group the values of one column in the rows whose other column has one of the group's."""
    rows = connection.execute(
        f"select distinct {column}, {answer} from {relation} "
        f"where {column} in (select unnest($values::varchar[])) and {answer} is not null",
        {"values": sorted(set().union(*groups))},
    ).fetchall()
    pairs: dict[str, set[str]] = {}
    for known, other in rows:
        pairs.setdefault(known, set()).add(other)
    for group in groups:
        group.update(*(pairs[each] for each in [*group] if each in pairs))


def is_known(deployment: Deployment, customers: Iterable[str]) -> bool:
    """Tell whether a list of customers holds one of the ids."""
    with open_warehouse(deployment.settings).connect() as connection:
        lists = [table for table in _raw_tables(connection, "customer_id") if table.endswith('."customers"')]
        return any(_ask(connection, table, "customer_id", "customer_id", set(customers)) for table in lists)


def find_identifiers(
    deployment: Deployment, store: Store, groups: Sequence[Sequence[str]]
) -> list[tuple[Identifiers, list[Asked]]]:
    """Return of each group of accounts what finds them in any store, and which clear values are nobody else's.

    However many groups there are, a table is asked once.
    """
    with open_warehouse(deployment.settings).connect() as connection:
        owned = _list_exclusive(connection, groups)
        ambiguous = _find_ambiguous(connection, groups)
    keys = _find_keys(store, groups)
    return [
        (
            Identifiers(
                customers=tuple(accounts),
                keys=keys[place],
                tokens=tuple(sorted({asked.token for asked in owned[place]})),
                renamed=tuple(f"anon_{uuid4().hex[:16]}" for _ in accounts),
                renamed_keys=tuple(token_hex(len(key) // 2) for key in keys[place]),
                ambiguous=ambiguous[place],
            ),
            owned[place],
        )
        for place, accounts in enumerate(groups)
    ]


def reveal(
    vault: Vault, identifiers: Identifiers, owned: Sequence[Asked], *, purpose: str, at: datetime
) -> Identifiers:
    """Return identifiers with the clear values that are theirs; the vault records that it was asked."""
    clear = vault.reveal_all(owned, asker=ASKER, purpose=purpose, at=at.replace(tzinfo=None))
    return replace(identifiers, clear=tuple(sorted(set(clear.values()))))


def list_personal(connection: duckdb.DuckDBPyConnection, accounts: Sequence[str]) -> list[Asked]:
    """Return the personal values of the accounts by source, account, column and token."""
    found: list[Asked] = []
    for source, relation, column in _list_personal_columns(connection):
        rows = connection.execute(
            f"""select distinct customer_id, "{column}" from {relation}
            where customer_id in (select unnest($ids::varchar[])) and "{column}" is not null""",
            {"ids": list(accounts)},
        ).fetchall()
        found += [Asked(source=source, customer_id=owner, column=column, token=token) for owner, token in rows]
    return found


def _list_exclusive(connection: duckdb.DuckDBPyConnection, groups: Sequence[Sequence[str]]) -> list[list[Asked]]:
    """Return for each group of accounts their personal values that nobody outside of it has."""
    owned: list[list[Asked]] = [[] for _ in groups]
    members = _place(groups)
    most = max((len({*accounts}) for accounts in groups), default=0)
    for source, relation, column in _list_personal_columns(connection):
        rows = connection.execute(
            f"""with theirs as (
                select "{column}" as value from {relation} where customer_id in (select unnest($ids::varchar[]))
            ) select "{column}", list(distinct customer_id) filter (where customer_id is not null) from {relation}
            where "{column}" in (select value from theirs where value is not null)
            group by all having count(distinct customer_id) <= $most""",
            {"ids": sorted(members), "most": most},
        ).fetchall()
        for token, owners in rows:
            for place in members.get(owners[0], ()):
                if {*owners} <= {*groups[place]}:
                    owned[place] += [
                        Asked(source=source, customer_id=owner, column=column, token=token) for owner in owners
                    ]
    return owned


def _list_personal_columns(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, str]]:
    """Yield source, relation and name of every column with personal values."""
    for schema, table in _list_raw(connection):
        for column in TABLES[table].columns if table in TABLES else ():
            if column.personal:
                yield schema.removeprefix("raw_"), f'{schema}."{table}"', column.name


def _place(groups: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Return in which groups each account is."""
    places: dict[str, list[int]] = {}
    for place, accounts in enumerate(groups):
        for account in {*accounts}:
            places.setdefault(account, []).append(place)
    return places


def _find_ambiguous(connection: duckdb.DuckDBPyConnection, groups: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return of each group the ids that stand within an id of somebody else, and cannot be searched for in bytes."""
    members = _place(groups)
    found: list[set[str]] = [set() for _ in groups]
    for table in _raw_tables(connection, "customer_id"):
        if not table.endswith('."customers"'):
            continue
        rows = connection.execute(
            f"""select distinct value, customer_id from (
                select customer_id, unnest($searched::varchar[]) as value from {table}
            ) where customer_id <> value and contains(customer_id, value)""",
            {"searched": sorted(filter(is_distinctive, members))},
        ).fetchall()
        for value, within in rows:
            for place in members[value]:
                if within not in groups[place]:
                    found[place].add(value)
    return [tuple(sorted(each)) for each in found]


def _find_keys(store: Store, groups: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return of each group the keys of its messages, alerts and ledger entries, which are made from the ids."""
    members = _place(groups)
    accounts = sorted(members)
    found: list[set[str]] = [set() for _ in groups]
    with store.database.read() as connection:
        for piece in chunked(accounts, _PIECE):
            for key in (OUTBOX.c.idempotency_key, ALERTS.c.alert_id, LEDGER.c.entry_id):
                owner = key.table.c.customer_id
                for name, account in connection.execute(select(key, owner).where(owner.in_(piece))):
                    for place in members[account]:
                        found[place].add(name)
    return [tuple(sorted(each)) for each in found]


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
