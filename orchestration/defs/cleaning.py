"""Cleaning: what its rules did to every batch, and the proof that no row went missing on the way to staging."""

import dagster as dg

from orchestration.reconciliation import describe_cleaning, find_gaps, find_missing_days
from orchestration.warehouse import Warehouse


@dg.asset_check(asset=["bookkeeping", "cleaning_reconciliation"], blocking=True)
def every_row_is_accounted_for(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Stop the pipeline when the fate of a row is unknown, at its landing or on the way to staging."""
    gaps, summary = find_gaps(warehouse), describe_cleaning(warehouse)
    return dg.AssetCheckResult(
        passed=not gaps,
        description="; ".join(str(gap) for gap in gaps) or None,
        metadata={"gaps": len(gaps), "cleaning": dg.MetadataValue.md(summary)},
    )


@dg.asset_check(asset=["bookkeeping", "feed_coverage"], additional_deps=[["bookkeeping", "feed_pauses"]])
def feeds_lack_no_days(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Warn of days that a feed lacks, and of rows dated in the future; labels over such days are unknown."""
    faults = find_missing_days(warehouse)
    return dg.AssetCheckResult(
        passed=not faults, severity=dg.AssetCheckSeverity.WARN, description="; ".join(faults) or None
    )
