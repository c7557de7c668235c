"""The clock of incidents: who answers, snoozes, missed answers, and everything that is done with each."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0014"
down_revision = "0013"

_OWNERS = "case when grade = 'red' then 'management' else 'customer service' end"  # the default policy's first owners


def upgrade() -> None:
    """Add the columns, and the table of events."""
    with op.batch_alter_table("incidents") as table:
        table.add_column(sa.Column("owner", sa.String()))
        table.add_column(sa.Column("breached_at", sa.DateTime))
        table.add_column(sa.Column("snoozed_until", sa.DateTime))
    op.execute(f"update incidents set owner = {_OWNERS}")
    with op.batch_alter_table("incidents") as table:
        table.alter_column("owner", existing_type=sa.String(), nullable=False)
    op.create_table(
        "incident_events",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("incident_id", sa.String(32), sa.ForeignKey("incidents.incident_id"), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("done_by", sa.String(), nullable=False),
        sa.Column("done_at", sa.DateTime, nullable=False),
        sa.Column("feedback", sa.String()),
        sa.Column("note", sa.Text),
        sa.Column("snoozed_until", sa.DateTime),
        sa.Column("owner", sa.String()),
        sa.Column("deadline", sa.String()),
        sa.Column("message_key", sa.String(64)),
        comment="one row per thing done with an incident, by people or by its clock; append-only",
    )
    op.create_index("ix_incident_events_incident_id", "incident_events", ["incident_id"])
    protect_one(op.get_bind(), "incident_events")


def downgrade() -> None:
    """Drop what this revision made."""
    op.drop_table("incident_events")
    with op.batch_alter_table("incidents") as table:
        for name in ("owner", "breached_at", "snoozed_until"):
            table.drop_column(name)
