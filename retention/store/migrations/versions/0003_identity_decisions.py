"""Who took customer ids apart, or let them be linked again."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table, guarded as the others are."""
    op.create_table(
        "identity_decisions",
        sa.Column("decision_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("other_id", sa.String()),
        sa.Column("is_apart", sa.Boolean, nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("number", name="uq_identity_decisions_number"),
        comment="one row per time a person took customer ids apart, or let them be linked again; append-only",
    )
    op.create_index("ix_identity_decisions_customer_id", "identity_decisions", ["customer_id"])
    protect_one(op.get_bind(), "identity_decisions")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("identity_decisions")
