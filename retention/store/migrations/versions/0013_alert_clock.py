"""The clock of alerts: working minutes to the answer, who was notified of what, looks; and incidents."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one, unprotect_one

revision = "0013"
down_revision = "0012"

_FORMER_COMMENT = "one row per thing done with an alert: acknowledged, snoozed, closed or superseded; append-only"
_COMMENT = "one row per thing done with an alert, by people or by its clock; append-only"


def upgrade() -> None:
    """Widen alerts and their events, and make the tables of looks and incidents."""
    connection = op.get_bind()
    _widen_alerts(connection)
    unprotect_one(connection, "alert_events")
    with op.batch_alter_table("alert_events") as table:
        table.add_column(sa.Column("owner", sa.String()))
        table.add_column(sa.Column("deadline", sa.String()))
        table.add_column(sa.Column("message_key", sa.String(64)))
    protect_one(connection, "alert_events")
    if connection.dialect.name == "postgresql":  # SQLite keeps no comments
        op.create_table_comment("alert_events", _COMMENT, existing_comment=_FORMER_COMMENT)
    op.create_table(
        "alert_looks",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("looked_at", sa.DateTime, nullable=False),
        sa.Column("count_alerts", sa.Integer, nullable=False),
        sa.Column("count_notices", sa.Integer, nullable=False),
        sa.Column("count_breaches", sa.Integer, nullable=False),
        comment="one row per look at the clocks of alerts; append-only",
    )
    op.create_index("ix_alert_looks_looked_at", "alert_looks", ["looked_at"])
    protect_one(connection, "alert_looks")
    _create_incidents()


def _widen_alerts(connection: sa.Connection) -> None:
    with op.batch_alter_table("alerts") as table:
        table.add_column(sa.Column("answer_minutes", sa.Integer))
        table.add_column(sa.Column("breached_at", sa.DateTime))
        table.add_column(sa.Column("is_replay", sa.Boolean))
        table.add_column(sa.Column("incident_id", sa.String(32)))
    columns = (("alert_id", sa.String()), ("raised_at", sa.DateTime), ("due_at", sa.DateTime),
               ("answer_minutes", sa.Integer), ("is_replay", sa.Boolean))  # fmt: skip
    alerts = sa.table("alerts", *(sa.column(name, kind) for name, kind in columns))
    connection.execute(sa.update(alerts).values(is_replay=False))
    for row in connection.execute(sa.select(alerts.c.alert_id, alerts.c.raised_at, alerts.c.due_at)).all():
        minutes = round((row.due_at - row.raised_at).total_seconds() / 60)
        is_it = alerts.c.alert_id == row.alert_id
        connection.execute(sa.update(alerts).where(is_it).values(answer_minutes=minutes))
    with op.batch_alter_table("alerts") as table:
        table.alter_column("answer_minutes", existing_type=sa.Integer, nullable=False)
        table.alter_column("is_replay", existing_type=sa.Boolean, nullable=False)
        table.alter_column("due_at", existing_type=sa.DateTime, nullable=True)
    op.create_index("ix_alerts_incident_id", "alerts", ["incident_id"])


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String(32), primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("first_date", sa.Date, nullable=False),
        sa.Column("last_date", sa.Date, nullable=False),
        sa.Column("count_customers", sa.Integer, nullable=False),
        sa.Column("count_expected", sa.Double, nullable=False),
        sa.Column("ratio", sa.Double, nullable=False),
        sa.Column("p_value", sa.Double, nullable=False),
        sa.Column("q_value", sa.Double, nullable=False),
        sa.Column("money_at_risk", sa.Double),
        sa.Column("cause_en", sa.Text, nullable=False),
        sa.Column("cause_zh", sa.Text, nullable=False),
        sa.Column("grade", sa.String(), nullable=False),
        sa.Column("raised_at", sa.DateTime, nullable=False),
        sa.Column("answer_minutes", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime),
        sa.Column("is_replay", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        *(sa.Column(name, sa.String()) for name in ("acknowledged_by", "closed_by", "feedback")),
        *(sa.Column(name, sa.DateTime) for name in ("acknowledged_at", "closed_at")),
        sa.Column("note", sa.Text),
        comment="one row per rate that rose in a group: open, acknowledged or closed",
    )
    op.create_index("ix_incidents_as_of", "incidents", ["as_of"])
    op.create_index("ix_incidents_state", "incidents", ["state"])
    op.create_table(
        "incident_customers",
        sa.Column("incident_id", sa.String(32), sa.ForeignKey("incidents.incident_id"), primary_key=True),
        sa.Column("customer_id", sa.String(), primary_key=True),
        comment="one row per incident and customer with the event; grows while the incident is open",
    )


def downgrade() -> None:
    """Drop what this revision made; an alert whose clock stands is due now."""
    connection = op.get_bind()
    op.drop_table("incident_customers")
    op.drop_table("incidents")
    op.drop_table("alert_looks")
    op.drop_index("ix_alerts_incident_id", "alerts")
    connection.execute(sa.text("update alerts set due_at = raised_at where due_at is null"))
    with op.batch_alter_table("alerts") as table:
        table.alter_column("due_at", existing_type=sa.DateTime, nullable=False)
        for name in ("answer_minutes", "breached_at", "is_replay", "incident_id"):
            table.drop_column(name)
    unprotect_one(connection, "alert_events")
    with op.batch_alter_table("alert_events") as table:
        for name in ("owner", "deadline", "message_key"):
            table.drop_column(name)
    protect_one(connection, "alert_events")
    if connection.dialect.name == "postgresql":
        op.create_table_comment("alert_events", _FORMER_COMMENT, existing_comment=_COMMENT)
