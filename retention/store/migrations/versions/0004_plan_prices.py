"""Plans of customers who are not scored, the probabilities of what was decided, and the prices of a plan's limits."""

import sqlalchemy as sa
from alembic import op

from retention.store.migrations.append_only import protect_one

revision = "0004"
down_revision = "0003"

OPTIONAL = {"level": sa.String(), "score": sa.Double(), "probability": sa.Double()}
OF_A_ROW = ("planned_strategy_id", "effect_group", "propensities", "best_rejected", "rejected_because")
OF_AN_ENTRY = ("planned_strategy_id", "effect_group", "propensities")


def upgrade() -> None:
    """Widen plan rows and ledger, and make the table of prices, guarded as the others are."""
    with op.batch_alter_table("plan_rows") as rows:
        for name, kind in OPTIONAL.items():
            rows.alter_column(name, existing_type=kind, nullable=True)
        for name in OF_A_ROW:
            rows.add_column(sa.Column(name, sa.String()))
        rows.add_column(sa.Column("effect", sa.Double()))
    if op.get_bind().dialect.name == "sqlite":  # made the table anew, without its triggers
        protect_one(op.get_bind(), "plan_rows")
    for name in OF_AN_ENTRY:
        op.add_column("ledger", sa.Column(name, sa.String()))
    op.create_table(
        "plan_prices",
        sa.Column("as_of", sa.Date, sa.ForeignKey("plans.as_of"), primary_key=True),
        sa.Column("resource", sa.String(), primary_key=True),
        sa.Column("amount", sa.Double, nullable=False),
        sa.Column("used", sa.Double, nullable=False),
        sa.Column("price", sa.Double, nullable=False),
        sa.Column("text_en", sa.Text, nullable=False),
        sa.Column("text_zh", sa.Text, nullable=False),
        comment="one row per plan and limit: what one more unit of it would have brought; never changed",
    )
    protect_one(op.get_bind(), "plan_prices")


def downgrade() -> None:
    """Drop the table; what was added to plan rows and ledger stays, since their rows are never changed."""
    op.drop_table("plan_prices")
