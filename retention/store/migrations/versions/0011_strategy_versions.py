"""Which version of its strategy a customer was drawn for, in plans and ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

TABLES = ("plan_rows", "ledger")


def upgrade() -> None:
    """Add the column."""
    for table in TABLES:
        op.add_column(table, sa.Column("version", sa.String()))


def downgrade() -> None:
    """Drop it."""
    for table in TABLES:
        op.drop_column(table, "version")
