"""Who may sign in to the desk, what was done there, and what became of alerts."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables, the logs guarded as the others are."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("region", sa.String()),
        sa.Column("password", sa.String()),
        sa.Column("link_digest", sa.String(64)),
        sa.Column("link_expires_at", sa.DateTime),
        sa.Column("count_failures", sa.Integer, nullable=False),
        sa.Column("locked_until", sa.DateTime),
        sa.Column("is_disabled", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        comment="one row per account of the desk; passwords and sign-in links are kept as digests",
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(), sa.ForeignKey("users.name"), nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("seen_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        comment="one row per sign-in; a session ends by itself, by its user, or when the account changes",
    )
    op.create_table(
        "audit_log",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("done_at", sa.DateTime, nullable=False),
        sa.Column("done_by", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String()),
        sa.Column("subject", sa.String()),
        sa.Column("detail", sa.Text, nullable=False),
        comment="one row per thing that a person did, was refused, or looked at one by one; append-only",
    )
    op.create_table(
        "alert_events",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("alert_id", sa.String(32), sa.ForeignKey("alerts.alert_id"), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("done_by", sa.String(), nullable=False),
        sa.Column("done_at", sa.DateTime, nullable=False),
        sa.Column("feedback", sa.String()),
        sa.Column("note", sa.Text),
        sa.Column("snoozed_until", sa.DateTime),
        comment="one row per thing done with an alert: acknowledged, snoozed, closed or superseded; append-only",
    )
    op.add_column("alerts", sa.Column("snoozed_until", sa.DateTime))
    op.create_index("ix_alerts_state", "alerts", ["state"])
    for table, column in (("sessions", "name"), ("audit_log", "customer_id"), ("alert_events", "alert_id")):
        op.create_index(f"ix_{table}_{column}", table, [column])
    for table in ("audit_log", "alert_events"):
        protect_one(op.get_bind(), table)


def downgrade() -> None:
    """Drop the tables and the column."""
    op.drop_index("ix_alerts_state", "alerts")
    op.drop_column("alerts", "snoozed_until")
    for table in ("alert_events", "audit_log", "sessions", "users"):
        op.drop_table(table)
