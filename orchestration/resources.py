"""What asset bodies and sensors are handed: stores that are opened for the length of a run or a command, and closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from ml.registry import Registry, create_database
from orchestration.dbt import Dbt
from orchestration.deployment import Deployment
from orchestration.engines import open_engine
from orchestration.published import published_in
from orchestration.sending import open_channels
from orchestration.settings import Settings
from orchestration.warehouse import LingeringWarehouse, Warehouse
from retention.acting.channels import Channel
from retention.store.store import Store


def build_resources(deployment: Deployment) -> dict[str, Any]:
    """Return the resources by the names under which bodies ask for them."""
    settings = deployment.settings

    def warehouse(_context: dg.InitResourceContext) -> Iterator[Warehouse]:
        opened = LingeringWarehouse(engine=open_engine(settings))
        try:
            yield opened
        finally:
            opened.release()

    def dbt(_context: dg.InitResourceContext) -> Iterator[Dbt]:
        with deployment.dbt.warm() as opened:
            yield opened

    def store(_context: dg.InitResourceContext) -> Iterator[Store]:
        with open_store(settings) as opened:
            yield opened

    def registry(_context: dg.InitResourceContext) -> Registry:
        return open_registry(settings)

    def channels(_context: dg.InitResourceContext) -> dict[str, Channel]:
        return open_channels(deployment)

    return {
        "deployment": deployment,
        "dbt": dg.ResourceDefinition(dbt),
        "warehouse": dg.ResourceDefinition(warehouse),
        "published": published_in(settings.home, key=settings.encryption_key),
        "store": dg.ResourceDefinition(store),
        "registry": dg.ResourceDefinition(registry),
        "channels": dg.ResourceDefinition(channels),
    }


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Yield the operational store with its schema up to date; it is closed when the block ends."""
    with Store(settings.operational_url, key=settings.encryption_key) as store:
        store.migrate()
        yield store


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the warehouse; it is opened only for the length of a `with`."""
    return Warehouse(engine=open_engine(settings))


def open_registry(settings: Settings) -> Registry:
    """Return the model registry, created where it is the instance's own."""
    artifacts = (settings.home / "mlflow" / "artifacts").as_uri()
    if settings.tracking_uri == f"sqlite:///{settings.registry_file}":
        create_database(settings.registry_file, artifacts=artifacts)
    return Registry(settings.tracking_uri, artifacts=artifacts)
