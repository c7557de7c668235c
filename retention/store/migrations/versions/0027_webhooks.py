"""Webhooks of partners' programs: where to, which events, and how far they have been announced."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0031"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "webhook_subscriptions",
        sa.Column("subscription_id", sa.String(16), primary_key=True),
        sa.Column("key_id", sa.String(16), sa.ForeignKey("api_keys.key_id"), nullable=False, index=True),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
        sa.Column("announced_to", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        comment="one row per webhook of a partner's program: where to, which events, and how far they are announced",
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("webhook_subscriptions")
