"""What the event lane learns from: what it saw of customers, and what the night after made of their risk."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0018"


def upgrade() -> None:
    """Make the table of lessons."""
    op.create_table(
        "lane_lessons",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False, index=True),
        sa.Column("lane_features", sa.Text, nullable=False),
        sa.Column("lane_delta", sa.Double, nullable=False),
        sa.Column("log_odds_before", sa.Double, nullable=False),
        sa.Column("log_odds_night", sa.Double, nullable=False),
        comment="one row per night and customer, without an id: what the event lane saw, and the night's risk after it",
    )


def downgrade() -> None:
    """Drop what this revision made."""
    op.drop_table("lane_lessons")
