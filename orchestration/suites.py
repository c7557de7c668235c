"""What the gates expect of a company's tables on a day, on whichever engine they are."""

from datetime import date
from typing import TYPE_CHECKING

from orchestration.dbt import list_snapshots
from orchestration.scoring import LOWEST_TIER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from expectations.gate import Suite
    from orchestration.deployment import Deployment

MEMBERS = {
    "lifecycle_stage": ("new", "active", "dormant", "churned"),
    "value_tier": ("platinum", "gold", "normal"),
    "clv_verdict": ("serve_first", "cut_service_cost"),
}


def list_customer_suites(deployment: "Deployment", *, as_of: date) -> "Sequence[Suite]":
    """Return what is expected of the customer view as of a day."""
    from expectations.customer_360 import build

    clv = deployment.policy.clv
    return build(
        members=MEMBERS,
        scores=("rfm_recency", "rfm_frequency", "rfm_monetary"),
        identities={
            "value_from_now": f"years_expected * ({clv.gross_margin} * yearly_revenue_expected "
            f"- {clv.cost_per_ticket} * coalesce(count_tickets_half_year, 0) * 365 / 180.0)"
        },
        population=(
            "(select customer_id from intermediate.int_customers_dated "
            f"where known_date is null or known_date < date '{as_of}')"
        ),
    )


def list_feature_suites(deployment: "Deployment", *, as_of: date, has_own: bool) -> "Sequence[Suite]":
    """Return what is expected of a snapshot; `has_own`: the company's own columns stand next to the features."""
    from expectations.features import build, judge_by_range_alone

    gates = deployment.policy.gates
    snapshots = list_snapshots(deployment.company, deployment.policy, as_of=as_of)
    previous = max((day for day in snapshots if day < as_of), default=None)
    ranges = deployment.feature_ranges
    return build(
        judge_by_range_alone(ranges) if previous is None else ranges,
        own=deployment.own_ranges if has_own else (),
        as_of=as_of,
        previous=previous,
        snapshots=snapshots,
        explosion_factor=gates.explosion_factor,
        minimum_rows=gates.minimum_rows,
    )


def list_score_suites(
    deployment: "Deployment", *, as_of: date, batch: int, base_rate: float | None, is_ruled: bool
) -> "Sequence[Suite]":
    """Return what is expected of a batch of scores and its reasons; `is_ruled`: rules gave them and no model."""
    from expectations.scores import build

    policy = deployment.policy
    return build(
        as_of=as_of,
        batch=batch,
        tiers={"high": policy.tiers.high, "medium": policy.tiers.medium},
        lowest_tier=LOWEST_TIER,
        alerts={"high": policy.alerts.high, "medium": policy.alerts.medium, "low": policy.alerts.low},
        base_rate=None if is_ruled else base_rate,
        base_rate_band=policy.gates.base_rate_band,
        maximum_share_at_one_value=1.0 if is_ruled else policy.gates.maximum_score_share_at_one_value,
        minimum_rows=policy.gates.minimum_rows,
    )
