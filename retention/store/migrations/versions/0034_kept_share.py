"""Which share of the money at risk a plan counted as kept."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0027"


def upgrade() -> None:
    """Add the column."""
    op.add_column("plan_rows", sa.Column("kept_share", sa.Double))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("plan_rows", "kept_share")
