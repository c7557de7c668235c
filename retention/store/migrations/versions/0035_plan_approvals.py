"""Approvals of plans: who approved or refused which, and when."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Make the table, guarded as the others are."""
    op.create_table(
        "plan_approvals",
        sa.Column("as_of", sa.Date(), sa.ForeignKey("plans.as_of"), primary_key=True),
        sa.Column("is_approved", sa.Boolean(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.DateTime(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        comment="one row per plan that a person approved or refused; append-only",
    )
    protect_one(op.get_bind(), "plan_approvals")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("plan_approvals")
