"""Requests of people about their data, what was done with them, and whose ids no ingestion takes in again."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0024"
down_revision = "0022"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "privacy_requests",
        sa.Column("request_id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("law", sa.String(), nullable=False),
        sa.Column("customer_token", sa.String(64), nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("sealed", sa.Text),
        comment="one row per request of a person about their data; the ids are sealed, and gone when it is done",
    )
    op.create_index("ix_privacy_requests_customer_token", "privacy_requests", ["customer_token"])
    op.create_table(
        "privacy_events",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("request_id", sa.String(32), sa.ForeignKey("privacy_requests.request_id"), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("done_by", sa.String(), nullable=False),
        sa.Column("done_at", sa.DateTime, nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text),
        comment="one row per step of a request: its states, its extension, and each store that is done; append-only",
    )
    op.create_index("ix_privacy_events_request_id", "privacy_events", ["request_id"])
    protect_one(op.get_bind(), "privacy_events")
    op.create_table(
        "suppressed_ids",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("key_check", sa.String(16), nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("suppressed_at", sa.DateTime, nullable=False),
        comment="one row per customer id that no ingestion takes in again, as a keyed token",
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("suppressed_ids", "privacy_events", "privacy_requests"):
        op.drop_table(table)
