"""The operational store: the system of record for what was decided and done."""

from pathlib import Path
from typing import Self

from retention.store.alerts import Alerts
from retention.store.database import Database, lock_for_migration
from retention.store.ledger import Ledger
from retention.store.outbox import Outbox
from retention.store.plans import Plans
from retention.store.strategy_changes import StrategyChanges


class Store:
    """Plans, outbox, ledger, alerts and strategy changes in one database; opened once, closed by whoever opened it.

    `database` is what its parts share, and what other parts that keep tables in it are made with.
    """

    def __init__(self, url: str) -> None:
        """Open the database at `url`, `sqlite:///path` or `postgresql://..`; its tables are there after `migrate`."""
        self.database = Database(url)
        self.plans = Plans(self.database)
        self.outbox = Outbox(self.database)
        self.ledger = Ledger(self.database)
        self.alerts = Alerts(self.database)
        self.strategy_changes = StrategyChanges(self.database)

    def __enter__(self) -> Self:
        """Return the store, to be closed at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the store."""
        self.close()

    def migrate(self, *, to: str = "heads") -> None:
        """Bring the tables forward to a version, the newest by default, in one transaction."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.database.write() as connection:
            lock_for_migration(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, to)

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()
