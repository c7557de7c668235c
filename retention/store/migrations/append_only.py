"""Triggers that let a table grow and nothing else."""

from collections.abc import Sequence

import sqlalchemy as sa

_GUARD = """
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the table % is append-only: add a new row instead of changing an old one', tg_table_name;
end $$
"""


def protect(connection: sa.Connection, tables: Sequence[str]) -> None:
    """Make the database itself refuse to update or delete rows of `tables`, whoever asks."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_GUARD.replace("%", "%%"))
    for table in tables:
        protect_one(connection, table)


def protect_one(connection: sa.Connection, table: str) -> None:
    """Guard one more table, after `protect` has been called once."""
    for statement in _triggers(table, dialect=connection.dialect.name):
        connection.exec_driver_sql(statement)


def unprotect_one(connection: sa.Connection, table: str) -> None:
    """Take the guard of one table away, so that a migration may rewrite it; `protect_one` puts it back."""
    is_postgres = connection.dialect.name == "postgresql"
    actions = ("append_only", "no_truncate") if is_postgres else ("no_update", "no_delete")
    for action in actions:
        connection.exec_driver_sql(f"drop trigger {table}_{action}{f' on {table}' if is_postgres else ''}")


def _triggers(table: str, *, dialect: str) -> list[str]:
    if dialect == "postgresql":
        call = "execute function refuse_change()"
        return [
            f"create trigger {table}_append_only before update or delete on {table} for each row {call}",
            f"create trigger {table}_no_truncate before truncate on {table} for each statement {call}",
        ]
    message = f"the table {table} is append-only: add a new row instead of changing an old one"
    return [
        f"create trigger {table}_no_{action} before {action} on {table} begin select raise(abort, '{message}'); end"
        for action in ("update", "delete")
    ]
