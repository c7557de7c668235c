"""Assignments from outside: which version of a strategy a customer gets."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0015"
down_revision = "0024"


def upgrade() -> None:
    """Make the table, guarded as the others are."""
    op.create_table(
        "version_assignments",
        sa.Column("customer_id", sa.String(), primary_key=True),
        sa.Column("strategy_id", sa.String(), primary_key=True),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("assigned_at", sa.DateTime, nullable=False),
        sa.Column("imported_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime, nullable=False),
        comment="one row per customer and strategy whose version another system has drawn; append-only",
    )
    protect_one(op.get_bind(), "version_assignments")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("version_assignments")
