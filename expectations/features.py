"""What is expected of a slice of the feature table.

One query measures every feature of the slice and of the one before in a single pass over each; its answer, one row per
feature, is what the expectations judge. Two hundred features cost no more passes than two.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from expectations.gate import Suite, expect_filled, expect_none, expect_rows, expect_unique

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

SEAM = "features"
FEATURES = "features.customer_features"
NOTICEABLE = 0.01  # the share of rows from which on a value, or a difference, counts as there


@dataclass(frozen=True, kw_only=True)
class FeatureRange:
    """What one feature column may hold: values from `low` to `high`, and at most `null_share` of nulls (0 to 1)."""

    name: str
    low: float | None = None
    high: float | None = None
    null_share: float = 0.0
    may_be_constant: bool = False
    is_text: bool = False


def build(
    features: Sequence[FeatureRange],
    *,
    as_of: date,
    previous: date | None,
    snapshots: Sequence[date],
    explosion_factor: float,
    minimum_rows: int,
) -> list[Suite]:
    """Return the suites of the slice at `as_of`: its grain, and every feature's values.

    `snapshots` are the slices that must be present. A feature has exploded when the mean of its magnitude differs from
    the slice at `previous` by more than `explosion_factor`, either way, and its mean moved by more than a standard
    deviation of that slice. A feature with fewer than `minimum_rows` values, or with
    values for hardly anybody, may be constant and may jump. What was already
    empty or constant in the slice before, or all but so, may stay it: that is a feature without material.
    """
    grain = Suite(
        seam=SEAM,
        table=FEATURES,
        expectations=[
            expect_rows(),
            expect_filled("customer_id", key=("as_of",)),
            expect_unique(("as_of", "customer_id")),
            *_expect_slices(sorted({*snapshots, as_of})),
        ],
        where=f"as_of = date '{as_of}'",
    )
    profile = Suite(
        seam=SEAM,
        table=FEATURES,
        expectations=list(_expect_sound(explosion_factor, minimum_rows)),
        profile=profile_query(features, as_of=as_of, previous=previous),
    )
    return [grain, profile]


def profile_query(features: Sequence[FeatureRange], *, as_of: date, previous: date | None) -> str:
    """Return the query that measures all features of a slice beside those of the slice before: one row per feature.

    Each slice is aggregated whole and ungrouped, which DuckDB does several times faster than by group. Only aggregates
    that do not fail on an infinite or huge value are taken; the spread follows from the mean of the squares.
    """
    return f"""select * from (
with described as (
    select *, sqrt(mean_square) as magnitude
    from ({_measure(features, _describe, day=as_of)})
),
before as (
    select
        feature, filled, did_vary, row_count, mean, sqrt(mean_square) as magnitude,
        sqrt(greatest(mean_square - mean * mean, 0)) as deviation
    from ({_measure(features, _remember, day=previous)})
)
select
    described.*,
    before.magnitude as magnitude_before,
    before.mean as mean_before,
    before.deviation as deviation_before,
    before.filled as filled_before,
    coalesce(before.filled >= greatest(1 - null_share - 1e-9, {NOTICEABLE}) * before.row_count, true) as was_filled,
    coalesce(before.row_count = 0 or before.did_vary, before.row_count is null) as did_vary
from described
left join before on before.feature = described.feature
)"""


def _measure(
    features: Sequence[FeatureRange], measure: Callable[[FeatureRange], dict[str, str]], *, day: date | None
) -> str:
    """Return the query that unfolds one struct of measures per feature of a slice; without a slice, nulls and zeros."""
    where = f"as_of = date '{day}'" if day else "false"
    structs = ",\n".join(
        "{" + ", ".join(f"'{key}': {value}" for key, value in measure(feature).items()) + "}" for feature in features
    )
    return f"select unnest([{structs}], recursive := true) from {FEATURES} where {where}"


def _summarize(feature: FeatureRange) -> dict[str, str]:
    """Return what is compared between slices; text has no mean."""
    number = _number(feature)
    return {
        "feature": f"'{feature.name}'",
        "filled": f"count({feature.name})",
        "mean": f"avg({number})",
        "mean_square": f"avg({number} * {number})",
        "row_count": "count(*)",
    }


def _remember(feature: FeatureRange) -> dict[str, str]:
    """Return what is compared, and whether a noticeable share of the rows differed from the usual value.

    The usual value of what is rare is 0, or 1 for a share. Quantiles would tell for any value, at five times the cost.
    """
    name, number = feature.name, _number(feature)
    unusual = " and ".join(f"avg(cast({number} <> {usual} as double)) >= {NOTICEABLE}" for usual in (0, 1))
    varied = f"min({name}) <> max({name})" + ("" if feature.is_text else f" and {unusual}")
    return _summarize(feature) | {"did_vary": varied}


def _describe(feature: FeatureRange) -> dict[str, str]:
    """Return all measures of a feature beside what it may be."""
    number = _number(feature)
    return _summarize(feature) | {
        "is_constant": f"min({feature.name}) = max({feature.name})",
        "lowest": f"min({number})",
        "highest": f"max({number})",
        "low": _literal(feature.low),
        "high": _literal(feature.high),
        "null_share": _literal(feature.null_share),
        "may_be_constant": str(feature.may_be_constant).lower(),
    }


def _number(feature: FeatureRange) -> str:
    return "cast(null as double)" if feature.is_text else f"cast({feature.name} as double)"


def _literal(value: float | None) -> str:
    return f"cast({'null' if value is None else value} as double)"


def _expect_slices(days: Sequence[date]) -> "Iterator[Expectation]":
    wanted = ", ".join(f"(date '{day}')" for day in days)
    yield expect_none(
        "slice_is_present",
        f"select wanted.as_of from (values {wanted}) as wanted(as_of) "
        f"where as_of not in (select distinct as_of from {FEATURES}) and (select count(*) from {{batch}}) >= 0",
        column="as_of",
        says=f"all {len(days)} slices are present",
    )


def _expect_sound(factor: float, minimum_rows: int) -> "Iterator[Expectation]":
    yield _expect(
        "feature_is_filled",
        "1 - filled / row_count as null_share, null_share as allowed",
        where="filled < (1 - null_share - 1e-9) * row_count and was_filled",
        says="no feature has more nulls than it may have, unless the slice before did",
    )
    yield _expect(
        "feature_varies",
        "row_count as rows_alike",
        where=f"is_constant and not may_be_constant and did_vary and filled >= {_most(minimum_rows)}",
        says="no feature has one value for everybody, unless the slice before did",
    )
    yield _expect(
        "feature_is_in_range",
        "lowest, highest, low as allowed_from, high as allowed_to",
        where="lowest < low or highest > high or not isfinite(lowest) or not isfinite(highest)",
        says="every feature stays within its range and is finite",
    )
    yield _expect(
        "feature_has_not_exploded",
        "mean, mean_before",
        where=f"least(filled, filled_before) >= {_most(minimum_rows)} and abs(mean - mean_before) > deviation_before "
        f"and greatest(magnitude, magnitude_before) > {factor} * least(magnitude, magnitude_before) "
        "and magnitude_before > 0",
        says=f"no feature is more than {factor:g} times what it was in the slice before, or less than the same part",
    )


def _most(minimum_rows: int) -> str:
    """Return the values that a feature must have before chance no longer makes them all alike."""
    return f"greatest({minimum_rows}, {NOTICEABLE} * row_count)"


def _expect(rule: str, measures: str, *, where: str, says: str) -> "Expectation":
    return expect_none(rule, f"select feature as column_name, {measures} from {{batch}} where {where}", says=says)
