"""What is expected of one batch of scores and of their reasons. A new rule is one new file in this folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from expectations.gate import Suite, find_rules

SEAM = "scores"
SCORES, REASONS, FEATURES = "scores.churn_scores", "scores.churn_reasons", "features.customer_features"
KEY = ("customer_id",)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule knows; see `build`. `where` is the condition of the batch."""

    as_of: date
    where: str
    tiers: Mapping[str, float]
    lowest_tier: str
    alerts: Mapping[str, float]
    base_rate: float | None
    base_rate_band: float
    maximum_share_at_one_value: float
    reasons_each: int
    minimum_rows: int


def build(
    *,
    as_of: date,
    batch: int,
    tiers: Mapping[str, float],
    lowest_tier: str,
    base_rate: float | None,
    base_rate_band: float,
    maximum_share_at_one_value: float,
    alerts: Mapping[str, float] | None = None,
    reasons_each: int = 3,
    minimum_rows: int = 30,
) -> list[Suite]:
    """Return the suites of a batch of scores and of its reasons.

    `tiers` maps a tier to the lowest score (0 to 100) that belongs to it, and whoever is below all of them is in
    `lowest_tier`; `alerts` does the same for alert levels, below which there is none (null or `none`). The mean
    probability may differ from `base_rate`, where one is known, by `base_rate_band`. At most
    `maximum_share_at_one_value` of a batch of `minimum_rows` or more may share one score. A customer has at most
    `reasons_each` reasons, and at least one above `lowest_tier` or where the policy acts: others may have none.
    """
    where = f"as_of = date '{as_of}' and batch = {batch}"
    context = Context(
        as_of=as_of,
        where=where,
        tiers=tiers,
        lowest_tier=lowest_tier,
        alerts=alerts or {},
        base_rate=base_rate,
        base_rate_band=base_rate_band,
        maximum_share_at_one_value=maximum_share_at_one_value,
        reasons_each=reasons_each,
        minimum_rows=minimum_rows,
    )
    rules = list(find_rules(__name__, context))
    return [
        Suite(seam=SEAM, table=table, where=where, expectations=[rule for of, rule in rules if (of or SCORES) == table])
        for table in (SCORES, REASONS)
    ]
