"""Feature slices and churn labels per `as_of`, built by dbt, and the gate on them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from ingestion.identity.history import drop_stale_slices
from orchestration.dbt import Translator, build, list_snapshots, read_ranges
from orchestration.defs.resources import COMPANY, DOCS_URL, HOME, MODELS, POLICY, VARIABLES, open_store, tell_dbt
from orchestration.gates import judge, require_passed
from orchestration.partitions import DAYS, ONE_A_RUN, read_as_of
from orchestration.warehouse import Warehouse

RANGES = read_ranges(MODELS.manifest_path, COMPANY, null_share=POLICY.gates.maximum_null_share)


@dbt_assets(
    manifest=MODELS.manifest_path,
    project=MODELS,
    select="path:models/features",
    dagster_dbt_translator=Translator(COMPANY, DAYS, docs=DOCS_URL),
    partitions_def=DAYS,
    backfill_policy=ONE_A_RUN,
    name="feature_models",
)
def feature_models(context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: Warehouse) -> Iterator[Any]:
    """Build the feature slices that are missing up to the partition's day, and every label."""
    as_of = read_as_of(context)
    require_passed(warehouse, open_store(), "customer_360", as_of=as_of)
    with warehouse.connect() as connection:
        days = list_snapshots(COMPANY, POLICY, as_of=as_of)
        drop_stale_slices(connection, "features.customer_features", days=days)
    tell_dbt(as_of)
    yield from build(context, dbt, variables=VARIABLES, home=HOME)


@dg.asset_check(asset=["features", "customer_features"], blocking=True)
def features_gate(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Stop the line when a feature is empty, constant, out of range or exploded, and name it."""
    from expectations.features import build as build_suites

    as_of = read_as_of(context)
    snapshots = list_snapshots(COMPANY, POLICY, as_of=as_of)
    suites = build_suites(
        RANGES,
        as_of=as_of,
        previous=max((day for day in snapshots if day < as_of), default=None),
        snapshots=snapshots,
        explosion_factor=POLICY.gates.explosion_factor,
        minimum_rows=POLICY.gates.minimum_rows,
    )
    judgement = judge(warehouse, open_store(), "features", suites, as_of=as_of, docs=HOME / "gates")
    tables = ["features.customer_features"]
    return judgement.result_for(["features", "customer_features"], tables=tables, check="features_gate")
