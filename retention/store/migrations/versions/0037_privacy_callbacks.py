"""Whom a request about personal data is reported to, and which of its states they know."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "privacy_callbacks",
        sa.Column("request_id", sa.String(32), sa.ForeignKey("privacy_requests.request_id"), primary_key=True),
        sa.Column("url", sa.String(500), primary_key=True),
        sa.Column("controller_id", sa.String(), nullable=False),
        sa.Column("known_status", sa.String()),
        sa.Column("known_at", sa.DateTime),
        comment="one row per request and address that its sender wants called: the newest status that it took",
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("privacy_callbacks")
