"""What Alembic runs: the store hands over its own open connection, so that a migration is one transaction."""

from alembic import context

from retention.store.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
