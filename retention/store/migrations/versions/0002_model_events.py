"""What happened to model versions: registered, approved, rejected, promoted, rolled back."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table, guarded as the others are."""
    op.create_table(
        "model_events",
        sa.Column("event_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("request_id", sa.String(32)),
        sa.Column("recorded_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("number", name="uq_model_events_number"),
        comment="one row per thing that happened to a model version; append-only",
    )
    op.create_index("ix_model_events_version", "model_events", ["version"])
    protect_one(op.get_bind(), "model_events")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("model_events")
