"""Feature snapshots and churn labels per `as_of`, built by dbt, and the gate on them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from expectations.features import WITH_OWN
from ingestion.identity.history import drop_stale_snapshots
from orchestration.dbt import Dbt, list_snapshots, read_run
from orchestration.dbt_models import build_models, describe_models
from orchestration.deployment import Deployment
from orchestration.gates import judge, require_passed
from orchestration.partitions import read_as_of
from orchestration.suites import list_feature_suites
from orchestration.warehouse import Warehouse
from retention.store.store import Store

FOLDERS = ("features", "training", "decisions")
TABLE = "features.customer_features"


def define(deployment: Deployment) -> dg.Definitions:
    """Return the models of the features and of the labels."""
    models = describe_models(deployment, FOLDERS)
    company, policy = deployment.company, deployment.policy

    @dg.multi_asset(name="features_models", specs=models.specs, check_specs=models.checks, can_subset=True)
    def features_models(
        context: dg.AssetExecutionContext,
        dbt: dg.ResourceParam[Dbt],
        warehouse: dg.ResourceParam[Warehouse],
        store: dg.ResourceParam[Store],
    ) -> Iterator[Any]:
        """Build the snapshots that are missing up to the partition's day, and every label."""
        as_of = read_as_of(context)
        require_passed(warehouse, store, "customer_360", as_of=as_of)
        with warehouse.connect() as connection:
            drop_stale_snapshots(connection, TABLE, days=list_snapshots(company, policy, as_of=as_of))
        yield from build_models(context, deployment, dbt, warehouse, run=read_run(company, policy, as_of=as_of))

    return dg.Definitions(assets=[features_models])


@dg.asset_check(asset=TABLE.split("."), blocking=True)
def features_gate(
    context: dg.AssetCheckExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.AssetCheckResult:
    """Stop the pipeline when a feature is empty, constant, out of range or exploded, and name it."""
    as_of = read_as_of(context)
    suites = list_feature_suites(deployment, as_of=as_of, has_own=warehouse.has_table(WITH_OWN))
    judgement = judge(warehouse, store, "features", suites, as_of=as_of, docs=deployment.settings.gates_folder)
    return judgement.result_for(TABLE.split("."), tables=[TABLE, WITH_OWN], check="features_gate")
