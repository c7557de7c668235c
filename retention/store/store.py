"""The operational store: the system of record for what was decided and done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from retention.store.alerts import Alerts
from retention.store.assignments import Assignments
from retention.store.consents import Consents
from retention.store.database import Database, lock_for_migration
from retention.store.incidents import Incidents
from retention.store.lane import LaneProgress
from retention.store.ledger import Ledger
from retention.store.looks import Looks
from retention.store.outbox import Outbox
from retention.store.plan_approvals import PlanApprovals
from retention.store.plan_overrides import PlanOverrides
from retention.store.plans import Plans
from retention.store.recipients import Recipients
from retention.store.strategy_changes import StrategyChanges
from retention.store.strategy_reviews import StrategyReviews
from retention.store.subscriptions import Subscriptions


class Store:
    """What was decided and done, for whom, and what people changed, in one database; closed by whoever opened it.

    `database` is what its parts share, and what other parts that keep tables in it are made with.
    """

    def __init__(self, url: str, *, key: str = "") -> None:
        """Open the database at `url`, `sqlite:///path` or `postgresql://..`; its tables are there after `migrate`.

        A SQLite file is encrypted where there is a `key`.
        """
        self.database = Database(url, key=key)
        self.plans = Plans(self.database)
        self.outbox = Outbox(self.database)
        self.ledger = Ledger(self.database)
        self.alerts = Alerts(self.database)
        self.incidents = Incidents(self.database)
        self.lane = LaneProgress(self.database)
        self.looks = Looks(self.database)
        self.assignments = Assignments(self.database)
        self.plan_approvals = PlanApprovals(self.database)
        self.plan_overrides = PlanOverrides(self.database)
        self.strategy_changes = StrategyChanges(self.database)
        self.strategy_reviews = StrategyReviews(self.database)
        self.consents = Consents(self.database)
        self.recipients = Recipients(self.database)
        self.subscriptions = Subscriptions(self.database)

    def __enter__(self) -> Self:
        """Return the store, to be closed at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the store."""
        self.close()

    def migrate(self, *, to: str = "heads") -> None:
        """Bring the tables forward to a version, the newest by default, in one transaction."""
        from alembic import command

        self._alembic(command.upgrade, to)

    def downgrade(self, *, to: str) -> None:
        """Bring the tables back to an earlier version, in one transaction; what has no place there is lost."""
        from alembic import command

        self._alembic(command.downgrade, to)

    def _alembic(self, move: Callable[[Any, str], None], version: str) -> None:
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.database.write() as connection:
            lock_for_migration(connection)
            config.attributes["connection"] = connection
            move(config, version)

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()
