"""Staging and the customer 360 view, built by dbt, and the gate on the view."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration.dbt import Dbt, read_run
from orchestration.dbt_models import build_models, describe_models
from orchestration.deployment import Deployment
from orchestration.gates import judge, require_passed
from orchestration.partitions import read_as_of
from orchestration.suites import list_customer_suites
from orchestration.warehouse import Warehouse
from retention.store.store import Store

FOLDERS = ("staging", "bookkeeping", "intermediate", "customer_360")


def define(deployment: Deployment) -> dg.Definitions:
    """Return the models of staging, of the day aggregates and of the view."""
    models = describe_models(deployment, FOLDERS)

    @dg.multi_asset(name="customer_360_models", specs=models.specs, check_specs=models.checks, can_subset=True)
    def customer_360_models(
        context: dg.AssetExecutionContext,
        dbt: dg.ResourceParam[Dbt],
        warehouse: dg.ResourceParam[Warehouse],
        store: dg.ResourceParam[Store],
    ) -> Iterator[Any]:
        """Build staging, day aggregates and the customer 360 view as of the partition's day."""
        as_of = read_as_of(context)
        require_passed(warehouse, store, "sources", as_of=as_of)
        run = read_run(deployment.company, deployment.policy, as_of=as_of)
        yield from build_models(context, deployment, dbt, warehouse, run=run)

    return dg.Definitions(assets=[customer_360_models])


@dg.asset_check(asset=["customer_360", "customers"], blocking=True)
def customer_360_gate(
    context: dg.AssetCheckExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.AssetCheckResult:
    """Stop the pipeline when the view lost, doubled or distorted a customer."""
    as_of = read_as_of(context)
    suites = list_customer_suites(deployment, as_of=as_of)
    folder = deployment.settings.gates_folder
    judgement = judge(warehouse, store, "customer_360", suites, as_of=as_of, docs=folder)
    return judgement.result_for(
        ["customer_360", "customers"], tables=["customer_360.customers"], check="customer_360_gate"
    )
