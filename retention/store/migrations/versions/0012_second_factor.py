"""A second factor of accounts: its secret, one that is not confirmed yet, and the step of the last code used."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns."""
    for name in ("totp_secret", "totp_pending"):
        op.add_column("users", sa.Column(name, sa.String(64)))
    op.add_column("users", sa.Column("totp_step", sa.Integer))


def downgrade() -> None:
    """Drop the columns."""
    for name in ("totp_step", "totp_pending", "totp_secret"):
        op.drop_column("users", name)
