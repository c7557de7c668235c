"""The event lane: how far its effects reach, and its comparison with each night."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0014"


def upgrade() -> None:
    """Make the lane's tables, and let alerts be found by their customer."""
    op.create_table(
        "lane_progress",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("log_position", sa.BigInteger, nullable=False),
        sa.Column("as_of", sa.Date),
        sa.Column("beat_at", sa.DateTime, nullable=False),
        sa.Column("alert_p50_ms", sa.Double),
        sa.Column("alert_p99_ms", sa.Double),
        comment="one row per reader of the event log: how far its effects reach, and its last sign of life",
    )
    op.create_table(
        "lane_nights",
        sa.Column("as_of", sa.Date, primary_key=True),
        sa.Column("group_name", sa.String(), primary_key=True),
        sa.Column("count_customers", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.Double, nullable=False)
            for name in ("probability_before", "probability_lane", "probability_night", "log_odds_gap")
        ),
        comment="one row per night and group of customers: what the event lane had made of their risk, and the night",
    )
    op.create_index("ix_alerts_customer_id", "alerts", ["customer_id"])


def downgrade() -> None:
    """Drop what this revision made."""
    op.drop_index("ix_alerts_customer_id", "alerts")
    op.drop_table("lane_nights")
    op.drop_table("lane_progress")
