"""What dbt's connection needs before it attaches an encrypted warehouse: a plugin of dbt-duckdb."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.adapters.duckdb.plugins import BasePlugin

from company.encryption import load

if TYPE_CHECKING:
    import duckdb


class Plugin(BasePlugin):
    """Loads what encrypts; its configuration names as `spill` the folder of what does not fit into memory."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Keep the folder."""
        self.spill = Path(plugin_config["spill"])

    def configure_connection(self, conn: "duckdb.DuckDBPyConnection") -> None:
        """Make a connection ready, before databases are attached to it."""
        load(conn, spill=self.spill)
