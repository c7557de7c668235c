"""Keys of programs, the answers that their retries get again, and what people decided about single customers."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("name", "role")),
        *(sa.Column(name, sa.String()) for name in ("owner", "region")),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("used_at", sa.DateTime),
        sa.Column("revoked_by", sa.String()),
        sa.Column("revoked_at", sa.DateTime),
        comment="one row per key of a program, kept as a digest; a key expires and can be revoked",
    )
    op.create_table(
        "api_requests",
        sa.Column("key_id", sa.String(16), sa.ForeignKey("api_keys.key_id"), primary_key=True),
        sa.Column("idempotency_key", sa.String(200), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("begun_at", sa.DateTime, nullable=False),
        sa.Column("answer", sa.Text),
        comment="one row per writing request of a program and its answer, which a retry gets again",
    )
    op.create_index("ix_api_requests_begun_at", "api_requests", ["begun_at"])
    op.create_table(
        "plan_overrides",
        sa.Column("number", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("customer_id", "kind")),
        sa.Column("strategy_id", sa.String()),
        sa.Column("until", sa.Date),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("before", "after")),
        comment="one row per time a person decided about a customer what plans may do; append-only",
    )
    op.create_index("ix_plan_overrides_customer_id", "plan_overrides", ["customer_id"])
    protect_one(op.get_bind(), "plan_overrides")


def downgrade() -> None:
    """Drop the tables."""
    for table in ("plan_overrides", "api_requests", "api_keys"):
        op.drop_table(table)
