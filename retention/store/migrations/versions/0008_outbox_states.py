"""Messages that are claimed, asked about and stopped; who they go to; consent as it was last known."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one, unprotect_one

revision = "0008"
down_revision = "0007"

_STATES = {"pending": "planned", "sending": "claimed", "uncertain": "unknown"}
_LONG_VALID = timedelta(days=30)  # what an older message says nothing of


def upgrade() -> None:
    """Rename the states, date what left by its ledger, and make the tables that sending looks into."""
    connection = op.get_bind()
    unprotect_one(connection, "ledger")
    _widen_ledger(connection)
    _widen_outbox(connection)
    protect_one(connection, "ledger")
    _create_recipients()
    _create_consents()
    protect_one(connection, "consents")


def _widen_ledger(connection: sa.Connection) -> None:
    with op.batch_alter_table("ledger") as table:
        table.add_column(sa.Column("happened_at", sa.DateTime))
        table.add_column(sa.Column("is_replay", sa.Boolean))
    connection.execute(sa.text("update ledger set happened_at = recorded_at, is_replay = false"))
    connection.execute(sa.text("update ledger set event = 'unknown' where event = 'uncertain'"))
    with op.batch_alter_table("ledger") as table:
        table.alter_column("happened_at", existing_type=sa.DateTime, nullable=False)
        table.alter_column("is_replay", existing_type=sa.Boolean, nullable=False)


def _widen_outbox(connection: sa.Connection) -> None:
    op.drop_index("ix_outbox_state", "outbox")
    columns: list[sa.Column[Any]] = [
        sa.Column("occasion", sa.String()),
        sa.Column("version", sa.String()),
        sa.Column("purpose", sa.String()),
        sa.Column("is_replay", sa.Boolean),
        sa.Column("useful_until", sa.Date),
        sa.Column("claimed_by", sa.String(32)),
        sa.Column("claimed_at", sa.DateTime),
        sa.Column("lease_until", sa.DateTime),
        sa.Column("left_at", sa.DateTime),
        sa.Column("left_on", sa.Date),
    ]
    with op.batch_alter_table("outbox") as table:
        for column in columns:
            table.add_column(column)
        table.alter_column("not_before", existing_type=sa.DateTime, nullable=True)
    outbox = sa.table("outbox", *(sa.column(each.name, each.type) for each in columns), *_KEPT)
    for former, state in _STATES.items():
        connection.execute(sa.update(outbox).where(outbox.c.state == former).values(state=state))
    _fill(connection, outbox)
    with op.batch_alter_table("outbox", table_kwargs={"comment": _COMMENT}) as table:
        for name in ("occasion", "version", "purpose", "is_replay", "useful_until"):
            table.alter_column(name, existing_type=outbox.c[name].type, nullable=False)
        table.create_unique_constraint("uq_outbox_message", ["customer_id", "strategy_id", "occasion", "version"])
    op.create_table_comment("outbox", _COMMENT) if connection.dialect.name == "postgresql" else None
    op.create_index("ix_outbox_state", "outbox", ["state", "not_before"])
    op.create_index("ix_outbox_left_on", "outbox", ["customer_id", "left_on"])


_COMMENT = "one row per message: planned, claimed, sent, unknown, failed, late, capped or held"
_KEPT = (
    sa.column("idempotency_key", sa.String()),
    sa.column("as_of", sa.Date),
    sa.column("state", sa.String()),
    sa.column("updated_at", sa.DateTime),
    sa.column("not_before", sa.DateTime),
)


def _fill(connection: sa.Connection, outbox: sa.TableClause) -> None:
    query = sa.select(outbox.c.idempotency_key, outbox.c.as_of, outbox.c.state, outbox.c.updated_at)
    for row in connection.execute(query).all():
        has_left = row.state in {"sent", "unknown"}
        values = {
            "occasion": row.as_of.isoformat(),
            "version": "1",
            "purpose": "marketing",
            "is_replay": False,
            "useful_until": row.as_of + _LONG_VALID,
            "left_at": row.updated_at if has_left else None,
            "left_on": row.updated_at.date() if has_left else None,
            # whoever claimed it is gone: it is asked about at once
            "lease_until": row.updated_at if row.state == "claimed" else None,
        }
        if row.state != "planned":  # only what is planned is looked at again by itself
            values["not_before"] = None
        is_it = outbox.c.idempotency_key == row.idempotency_key
        connection.execute(sa.update(outbox).where(is_it).values(**values))


def _create_recipients() -> None:
    addresses = [f"{field}_{part}" for field in ("email", "phone") for part in ("source", "account", "token")]
    op.create_table(
        "recipients",
        sa.Column("customer_id", sa.String(), primary_key=True),
        sa.Column("language", sa.String()),
        *(sa.Column(name, sa.String()) for name in addresses),
        comment="one row per customer for whom a message was planned: language, and tokens of addresses",
    )


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("consent_id", sa.String(32), primary_key=True),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("is_granted", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("reported_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime, nullable=False),
        comment="one row per consent given or withdrawn by a customer for whom a message was planned; append-only",
    )
    op.create_index("ix_consents_customer_id", "consents", ["customer_id"])


def downgrade() -> None:
    """Go back to the five former states; what is late, capped or held had no other name there than failed."""
    connection = op.get_bind()
    op.drop_table("consents")
    op.drop_table("recipients")
    former = {
        **{state: name for name, state in _STATES.items()},
        "late": "failed",
        "capped": "failed",
        "held": "failed",
    }
    for state, name in former.items():
        connection.execute(
            sa.text("update outbox set state = :name where state = :state"), {"name": name, "state": state}
        )
    connection.execute(sa.text("update outbox set not_before = updated_at where not_before is null"))
    op.drop_index("ix_outbox_state", "outbox")
    op.drop_index("ix_outbox_left_on", "outbox")
    with op.batch_alter_table("outbox") as table:
        table.drop_constraint("uq_outbox_message", type_="unique")
        for name in (
            "occasion", "version", "purpose", "is_replay", "useful_until", "claimed_by", "claimed_at",
            "lease_until", "left_at", "left_on",
        ):  # fmt: skip
            table.drop_column(name)
        table.alter_column("not_before", existing_type=sa.DateTime, nullable=False)
    op.create_index("ix_outbox_state", "outbox", ["state"])
    unprotect_one(connection, "ledger")
    connection.execute(sa.text("update ledger set event = 'uncertain' where event = 'unknown'"))
    with op.batch_alter_table("ledger") as table:
        table.drop_column("happened_at")
        table.drop_column("is_replay")
    protect_one(connection, "ledger")
