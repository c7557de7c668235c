"""The clock as partitions: an `as_of` day for data and scores, a month for training."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import dagster as dg

from orchestration.deployment import Deployment

TRAINING = "training"  # the group whose assets are made by the month
# A day stands on the days before it, so that a backfill runs them one by one.
ONE_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def partition(assets: Iterable[Any], deployment: Deployment) -> list[dg.AssetsDefinition]:
    """Return assets with a partition per day of the company's history, per month for the training."""

    def by_group(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_monthly = spec.group_name == TRAINING
        return spec.replace_attributes(partitions_def=deployment.months if is_monthly else deployment.days)

    return [each.with_attributes(backfill_policy=ONE_A_RUN) for each in dg.map_asset_specs(by_group, assets)]


def read_as_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> date:
    """Return the `as_of` day that a run stands for."""
    return date.fromisoformat(context.partition_key)
