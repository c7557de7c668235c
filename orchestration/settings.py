"""What the environment says, read once: where an instance keeps its state, whose it is, and which servers it uses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from company.encryption import read_key


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where one instance stands: its state folder, its company file, and the addresses of its stores and pages.

    `target` names the engine of the warehouse, `models_on` who computes its models: the `warehouse` itself or `spark`,
    whose session works on `spark_master` with `spark_memory` for its driver.

    `environment` is the process's own; it is where secrets are found by name when a connection is opened, and what
    child processes inherit.
    """

    home: Path
    company_file: Path
    target: str
    models_on: str
    spark_master: str
    spark_memory: str
    operational_url: str
    tracking_uri: str
    docs_url: str
    webserver_url: str
    registry_url: str
    environment: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def warehouse_file(self) -> Path:
        """The DuckDB file with everything that was landed and built, where the target is `duckdb`."""
        return self.home / "warehouse.duckdb"

    @property
    def spark_folder(self) -> Path:
        """The folder of what Spark is handed of the warehouse and makes of it."""
        return self.home / "spark"

    @property
    def encryption_key(self) -> str:
        """The key under which DuckDB files are encrypted; empty where they are not."""
        return read_key(self.environment)

    @property
    def gates_folder(self) -> Path:
        """The folder of the gates' pages."""
        return self.home / "gates"

    @property
    def outbox_folder(self) -> Path:
        """The folder of channels that write files, and of the built-in gateway's inbox."""
        return self.home / "outbox"

    @property
    def registry_file(self) -> Path:
        """The SQLite database of the model registry, where no tracking server is named."""
        return self.home / "mlflow" / "mlflow.db"

    def secrets(self, names: Iterable[str]) -> dict[str, str]:
        """Return the named secrets that the environment holds."""
        return {name: self.environment[name] for name in names if name in self.environment}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that `HOLDFAST_*` variables name, defaults below the working directory for the rest."""
    home = Path(environment.get("HOLDFAST_HOME", ".holdfast")).absolute()
    tracking_uri = environment.get("HOLDFAST_TRACKING_URI", f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    registry_url = tracking_uri if tracking_uri.startswith("http") else "http://127.0.0.1:5000"
    return Settings(
        home=home,
        company_file=Path(environment.get("HOLDFAST_COMPANY", "company.yaml")).absolute(),
        target=environment.get("HOLDFAST_TARGET", "duckdb"),
        models_on=environment.get("HOLDFAST_MODELS_ON", "warehouse"),
        spark_master=environment.get("HOLDFAST_SPARK_MASTER", "local[*]"),
        spark_memory=environment.get("HOLDFAST_SPARK_MEMORY", "2g"),
        operational_url=environment.get("HOLDFAST_OPERATIONAL_URL", f"sqlite:///{home / 'operational.db'}"),
        tracking_uri=tracking_uri,
        docs_url=environment.get("HOLDFAST_DOCS_URL", (home / "docs" / "index.html").as_uri()),
        webserver_url=environment.get("HOLDFAST_WEBSERVER_URL", "http://127.0.0.1:3000"),
        registry_url=environment.get("HOLDFAST_REGISTRY_URL", registry_url),
        environment=environment,
    )
