"""Staging and the customer 360 view, built by dbt, and the gate on the view."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from orchestration.dbt import Translator, build
from orchestration.defs.resources import COMPANY, DOCS_URL, HOME, MODELS, POLICY, VARIABLES, open_store, tell_dbt
from orchestration.gates import judge, require_passed
from orchestration.partitions import DAYS, ONE_A_RUN, read_as_of
from orchestration.warehouse import Warehouse

MEMBERS = {
    "lifecycle_stage": ("new", "active", "dormant", "churned"),
    "value_tier": ("platinum", "gold", "normal"),
    "clv_verdict": ("serve_first", "cut_service_cost"),
}
IDENTITIES = {
    "clv": f"clv_yearly_spend * {POLICY.clv.lifetime_years} * {POLICY.clv.gross_margin} - acquisition_cost",
}


@dbt_assets(
    manifest=MODELS.manifest_path,
    project=MODELS,
    select="path:models/staging path:models/intermediate path:models/customer_360",
    dagster_dbt_translator=Translator(COMPANY, DAYS, docs=DOCS_URL),
    partitions_def=DAYS,
    backfill_policy=ONE_A_RUN,
    name="customer_360_models",
)
def customer_360_models(context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: Warehouse) -> Iterator[Any]:
    """Build staging, day aggregates and the customer 360 view as of the partition's day."""
    as_of = read_as_of(context)
    require_passed(warehouse, open_store(), "sources", as_of=as_of)
    tell_dbt(as_of)
    yield from build(context, dbt, variables=VARIABLES, home=HOME)


@dg.asset_check(asset=["customer_360", "customers"], blocking=True)
def customer_360_gate(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Stop the line when the view lost, doubled or distorted a customer."""
    from expectations.customer_360 import build as build_suites

    as_of = read_as_of(context)
    suites = build_suites(
        members=MEMBERS,
        scores=("rfm_recency", "rfm_frequency", "rfm_monetary"),
        identities=IDENTITIES,
        population=f"(select customer_id from intermediate.int_customers_dated where known_date < date '{as_of}')",
    )
    judgement = judge(warehouse, open_store(), "customer_360", suites, as_of=as_of, docs=HOME / "gates")
    return judgement.result_for(
        ["customer_360", "customers"], tables=["customer_360.customers"], check="customer_360_gate"
    )
