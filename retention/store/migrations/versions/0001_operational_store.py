"""The first operational store: plans, outbox, ledger, alerts, gate overrides and retrain requests."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect

revision = "0001"
down_revision = None

_TEXT = sa.String()


def upgrade() -> None:
    """Make every table, and let the database guard those that only grow."""
    _create_plans()
    _create_outbox()
    _create_ledger()
    _create_alerts()
    _create_requests()
    protect(op.get_bind(), ("plans", "plan_rows", "ledger", "gate_overrides", "retrain_requests"))


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("as_of", sa.Date, primary_key=True),
        sa.Column("committed_at", sa.DateTime, nullable=False),
        sa.Column("count_rows", sa.Integer, nullable=False),
        sa.Column("count_treated", sa.Integer, nullable=False),
        sa.Column("count_holdout", sa.Integer, nullable=False),
        sa.Column("amount_committed", sa.Double, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        comment="one row per committed plan; never changed",
    )
    op.create_table(
        "plan_rows",
        sa.Column("as_of", sa.Date, sa.ForeignKey("plans.as_of"), primary_key=True),
        sa.Column("customer_id", _TEXT, primary_key=True),
        sa.Column("strategy_id", _TEXT),
        sa.Column("arm", _TEXT, nullable=False),
        sa.Column("channel", _TEXT),
        sa.Column("cost", sa.Double, nullable=False),
        sa.Column("expected_value", sa.Double),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("decision", _TEXT, nullable=False),
        sa.Column("decision_reason", _TEXT, nullable=False),
        sa.Column("level", _TEXT, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("main_reason", _TEXT),
        sa.Column("value_tier", _TEXT),
        sa.Column("clv", sa.Double),
        sa.Column("money_at_risk", sa.Double),
        sa.Column("propensity", sa.Double, nullable=False),
        sa.Column("model_version", _TEXT),
        comment="one row per plan and candidate; never changed",
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("idempotency_key", sa.String(64), primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("customer_id", _TEXT, nullable=False),
        sa.Column("strategy_id", _TEXT, nullable=False),
        sa.Column("channel", _TEXT, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.Column("receipt", _TEXT),
        sa.Column("trouble", sa.Text),
        sa.Column("settled_by", _TEXT),
        comment="one row per message: pending, sending, sent, failed or uncertain",
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("entry_id", sa.String(64), primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("customer_id", _TEXT, nullable=False),
        sa.Column("strategy_id", _TEXT, nullable=False),
        sa.Column("arm", _TEXT, nullable=False),
        sa.Column("event", _TEXT, nullable=False),
        sa.Column("channel", _TEXT),
        sa.Column("cost", sa.Double, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("model_version", _TEXT),
        sa.Column("idempotency_key", sa.String(64)),
        sa.Column("recorded_at", sa.DateTime, nullable=False),
        sa.Column("propensity", sa.Double),
        comment="one row per thing done or withheld; append-only",
    )
    op.create_index("ix_ledger_as_of", "ledger", ["as_of"])
    op.create_index("ix_ledger_idempotency_key", "ledger", ["idempotency_key"])


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(32), primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("customer_id", _TEXT, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("level", _TEXT, nullable=False),
        sa.Column("tier", _TEXT, nullable=False),
        sa.Column("alert_level", _TEXT, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("clv", sa.Double),
        sa.Column("money_at_risk", sa.Double),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("main_reason", _TEXT),
        sa.Column("why_en", sa.Text),
        sa.Column("why_zh", sa.Text),
        sa.Column("raised_at", sa.DateTime, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("acknowledged_by", _TEXT),
        sa.Column("acknowledged_at", sa.DateTime),
        sa.Column("closed_by", _TEXT),
        sa.Column("closed_at", sa.DateTime),
        sa.Column("feedback", _TEXT),
        sa.Column("note", sa.Text),
        comment="one row per alert: open, acknowledged or closed",
    )
    op.create_index("ix_alerts_as_of", "alerts", ["as_of"])


def _create_requests() -> None:
    op.create_table(
        "gate_overrides",
        sa.Column("override_id", sa.String(32), primary_key=True),
        sa.Column("seam", _TEXT, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("granted_by", _TEXT, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("granted_at", sa.DateTime, nullable=False),
        comment="one row per gate that a person let pass; append-only",
    )
    op.create_index("ix_gate_overrides_seam", "gate_overrides", ["seam"])
    op.create_table(
        "retrain_requests",
        sa.Column("request_id", sa.String(32), primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("trigger", _TEXT, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("requested_at", sa.DateTime, nullable=False),
        sa.Column("is_accepted", sa.Boolean, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        comment="one row per request to retrain, granted or put off; append-only",
    )


def downgrade() -> None:
    """Drop everything; the ledger goes with it."""
    tables = ("retrain_requests", "gate_overrides", "alerts", "ledger", "outbox", "plan_rows", "plans")
    for table in tables:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop function refuse_change()")
