"""What dbt's connection needs before it attaches an encrypted warehouse: a plugin of dbt-duckdb."""

from pathlib import Path
from typing import TYPE_CHECKING

from dbt.adapters.duckdb.plugins import BasePlugin

from company.encryption import load

if TYPE_CHECKING:
    import duckdb


class Plugin(BasePlugin):
    """Loads what encrypts, and sets where spilled files go; `config` names the folder as `spill`."""

    def configure_connection(self, conn: "duckdb.DuckDBPyConnection") -> None:
        """Make a connection ready, before databases are attached to it."""
        load(conn, spill=Path(self.config["spill"]))
