"""The life of strategies: every month's review with its evidence, and what people decided."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table, guarded as the others are."""
    op.create_table(
        "strategy_reviews",
        sa.Column("review_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("strategy_id", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("state_before", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("suggestion", sa.String(), nullable=False),
        sa.Column("verdict", sa.String()),
        sa.Column("difference", sa.Double()),
        sa.Column("difference_low", sa.Double()),
        sa.Column("difference_high", sa.Double()),
        sa.Column("needs", sa.Double()),
        sa.Column("n_treated", sa.Integer),
        sa.Column("n_holdout", sa.Integer),
        sa.Column("months", sa.Integer, nullable=False),
        sa.Column("is_held", sa.Boolean, nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("number", name="uq_strategy_reviews_number"),
        comment="one row per review of a strategy, a month's or a person's, with its evidence; append-only",
    )
    op.create_index("ix_strategy_reviews_strategy_id", "strategy_reviews", ["strategy_id"])
    protect_one(op.get_bind(), "strategy_reviews")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("strategy_reviews")
