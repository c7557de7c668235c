"""What people changed about strategies."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    """Make the table, guarded as the others are."""
    op.create_table(
        "strategy_changes",
        sa.Column("change_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("strategy_id", sa.String(), nullable=False),
        sa.Column("strength", sa.Double()),
        sa.Column("valid_days", sa.Integer),
        sa.Column("is_paused", sa.Boolean),
        sa.Column("customer_id", sa.String()),
        sa.Column("campaign", sa.String()),
        sa.Column("holds_from", sa.Date),
        sa.Column("holds_until", sa.Date),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("number", name="uq_strategy_changes_number"),
        comment="one row per time a person changed a strategy; append-only",
    )
    op.create_index("ix_strategy_changes_strategy_id", "strategy_changes", ["strategy_id"])
    protect_one(op.get_bind(), "strategy_changes")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("strategy_changes")
