"""What is expected of one batch of scores and of the reasons beside them."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

from expectations.gate import Suite, expect_filled, expect_mean, expect_none, expect_true, expect_unique

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

SEAM = "scores"
SCORES, REASONS, FEATURES = "scores.churn_scores", "scores.churn_reasons", "features.customer_features"
KEY = ("customer_id",)


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
    `reasons_each` reasons, and at least one above `lowest_tier`: whoever has none to leave need not be told any.
    """
    where = f"as_of = date '{as_of}' and batch = {batch}"
    return [
        Suite(
            seam=SEAM,
            table=SCORES,
            where=where,
            expectations=[
                expect_unique(KEY),
                *_expect_population(as_of),
                *_expect_values(),
                _expect_level("tier", tiers, lowest_tier),
                *([_expect_level("alert_level", alerts, "none")] if alerts else []),
                _expect_spread(maximum_share_at_one_value, minimum_rows),
                *([] if base_rate is None else _expect_base_rate(base_rate, base_rate_band)),
            ],
        ),
        Suite(seam=SEAM, table=REASONS, where=where, expectations=[*_expect_reasons(where, reasons_each, lowest_tier)]),
    ]


def _expect_population(as_of: date) -> "Iterator[Expectation]":
    eligible = f"(select customer_id from {FEATURES} where as_of = date '{as_of}' and is_eligible)"
    yield expect_none(
        "every_eligible_customer_is_scored",
        f"select customer_id from {eligible} where customer_id not in (select customer_id from {{batch}})",
        column="customer_id",
        says="every eligible customer has a score",
    )
    yield expect_none(
        "only_eligible_customers_are_scored",
        f"select customer_id from {{batch}} where customer_id not in {eligible}",
        column="customer_id",
        says="every score belongs to an eligible customer",
    )


def _expect_values() -> "Iterator[Expectation]":
    yield expect_filled("model_version", key=KEY)
    yield expect_true(
        "probability_is_0_to_1",
        "probability between 0 and 1",
        column="probability",
        key=KEY,
        says="probability lies between 0 and 1",
    )
    yield expect_true(
        "score_is_100_times_probability",
        "abs(score - 100 * probability) < 1e-6",
        column="score",
        key=KEY,
        says="score equals 100 x probability",
    )


def _expect_level(column: str, levels: Mapping[str, float], otherwise: str) -> "Expectation":
    steps = sorted(levels.items(), key=lambda level: -level[1])
    cases = " ".join(f"when score >= {low} then '{name}'" for name, low in steps)
    condition = f"coalesce({column}, 'none') = case {cases} else '{otherwise}' end"
    says = f"{column} follows from the score: {', '.join(f'{name} from {low:g}' for name, low in steps)}"
    return expect_true("level_follows_score", condition, column=column, key=KEY, says=says)


def _expect_spread(share: float, minimum_rows: int) -> "Expectation":
    return expect_none(
        "scores_differ",
        "select 'score' as column_name, rows_alike, rows_scored from (select max(rows_alike) as rows_alike, "
        "sum(rows_alike) as rows_scored from (select score, count(*) as rows_alike from {batch} group by score)) "
        f"where rows_scored >= {minimum_rows} and rows_alike > {share} * rows_scored",
        says=f"at most {share:.0%} of the customers share one score",
    )


def _expect_base_rate(rate: float, band: float) -> "Iterator[Expectation]":
    yield expect_mean("probability", low=max(0.0, rate - band), high=min(1.0, rate + band))


def _expect_reasons(where: str, each: int, lowest_tier: str) -> "Iterator[Expectation]":
    yield expect_unique(("customer_id", "rank"))
    for column in ("reason", "feature", "text_en", "text_zh"):
        yield expect_true(
            "reason_is_told",
            f"length({column}) > 0",
            column=column,
            key=("customer_id", "rank"),
            says=f"{column} is told",
        )
    at_risk = f"select customer_id from {SCORES} where {where} and tier <> '{lowest_tier}'"
    ranked = f"count(*) <= {each} and min(rank) = 1 and max(rank) = count(*)"
    yield expect_none(
        "reasons_are_complete",
        f"select customer_id from ({at_risk}) where customer_id not in (select customer_id from {{batch}}) "
        f"union all select customer_id from {{batch}} group by customer_id having not ({ranked})",
        column="rank",
        says=f"every customer at risk has 1 to {each} reasons, ranked from 1 without a gap",
    )
