"""The lifetime value by the usual formula leaves plans and alerts: what customers bring is forecast."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
TABLES = ("plan_rows", "alerts")


def upgrade() -> None:
    """Drop the column."""
    for table in TABLES:
        op.drop_column(table, "clv")


def downgrade() -> None:
    """Add the column again; what it held is gone."""
    for table in TABLES:
        op.add_column(table, sa.Column("clv", sa.Double))
