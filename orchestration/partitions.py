"""The clock as partitions: an `as_of` day for data and scores, a month for training."""

from datetime import date

import dagster as dg

from orchestration.defs.resources import COMPANY

# A day's partition is named by its `as_of`: what is known when that day begins. So today's exists already (end_offset).
DAYS = dg.DailyPartitionsDefinition(
    start_date=COMPANY.history_starts.isoformat(), timezone=COMPANY.timezone, end_offset=1
)
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=COMPANY.history_starts.replace(day=1).isoformat(), timezone=COMPANY.timezone, end_offset=1
)
# A day stands on the days before it, so that a backfill runs them one by one.
ONE_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def read_as_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> date:
    """Return the `as_of` day that a run stands for."""
    return date.fromisoformat(context.partition_key)
