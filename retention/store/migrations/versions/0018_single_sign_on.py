"""Accounts of single sign-on: who a provider says that somebody is."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; no two accounts are the same person's."""
    with op.batch_alter_table("users") as table:
        table.add_column(sa.Column("subject", sa.String()))
        table.create_unique_constraint("uq_users_subject", ["subject"])


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("users") as table:
        table.drop_constraint("uq_users_subject", type_="unique")
        table.drop_column("subject")
