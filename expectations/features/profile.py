"""All features of a snapshot and of the one before, measured by one query in a single pass over each.

Its answer, one row per feature, is what the expectations judge. Two hundred features cost no more passes than two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

FEATURES = "features.customer_features"
WITH_OWN = "features.eligible_snapshots"  # next to them the company's own columns that are features
JUDGED = ("is_constant", "lowest", "highest", "low", "high", "null_share", "may_be_constant")  # of the day alone
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


def profile_query(
    features: Sequence[FeatureRange], *, as_of: date, previous: date | None, table: str = FEATURES
) -> str:
    """Return the query that measures all features of a snapshot of `table` and of the one before: a row per feature.

    Each snapshot is aggregated whole and ungrouped, which DuckDB does several times faster than by group. Only
    aggregates that do not fail on an infinite or huge value are taken; the spread follows from the mean of the squares.
    """
    return f"""select * exclude (turn) from (
with described as (
    select *, sqrt(mean_square) as magnitude
    from ({_measure(features, _describe, table=table, day=as_of)})
),
before as (
    select
        feature, filled, did_vary, unusual, row_count, mean, sqrt(mean_square) as magnitude,
        sqrt(greatest(mean_square - mean * mean, 0)) as deviation
    from ({_measure(features, _remember, table=table, day=previous)})
),
stacked as (
    select
        feature, filled, row_count, mean, magnitude, unusual, did_vary, deviation,
        {", ".join(f"null as {name}" for name in JUDGED)}, 1 as turn
    from before
    union all
    select
        feature, filled, row_count, mean, magnitude, null, null, null,
        {", ".join(JUDGED)}, 2
    from described
)
select
    * exclude (deviation, did_vary, unusual),
    case when lag(row_count) over turns > 0 then lag(unusual) over turns end as unusual_before,
    lag(magnitude) over turns as magnitude_before,
    lag(mean) over turns as mean_before,
    lag(deviation) over turns as deviation_before,
    lag(filled) over turns as filled_before,
    coalesce(
        lag(filled) over turns >= greatest(1 - null_share - 1e-9, {NOTICEABLE}) * lag(row_count) over turns, true
    ) as was_filled,
    coalesce(lag(row_count) over turns = 0 or lag(did_vary) over turns, lag(row_count) over turns is null) as did_vary
from stacked
window turns as (partition by feature order by turn)
) as both_turns
where turn = 2"""


def _measure(
    features: Sequence[FeatureRange],
    measure: Callable[[FeatureRange], dict[str, str]],
    *,
    table: str,
    day: date | None,
) -> str:
    """Return the query that unfolds one struct of measures per feature of a snapshot; without one, nulls and zeros."""
    where = f"as_of = date '{day}'" if day else "false"
    structs = ",\n".join(
        "{" + ", ".join(f"'{key}': {value}" for key, value in measure(feature).items()) + "}" for feature in features
    )
    return f"select unnest([{structs}], recursive := true) from {table} where {where}"


def _summarize(feature: FeatureRange) -> dict[str, str]:
    """Return what is compared between snapshots; text has no mean."""
    number = _number(feature)
    return {
        "feature": f"'{feature.name}'",
        "filled": f"count({feature.name})",
        "mean": f"avg({number})",
        "mean_square": f"avg({number} * {number})",
        "row_count": "count(*)",
    }


def _remember(feature: FeatureRange) -> dict[str, str]:
    """Return what is compared, how many rows differed from the usual value, and whether that is a noticeable share.

    The usual value of what is rare is 0, or 1 for a share. Quantiles would find any value, at five times the cost.
    """
    name, number = feature.name, _number(feature)
    apart = ", ".join(f"count(*) filter (where {number} <> {usual})" for usual in (0, 1))
    unusual = f"count({name})" if feature.is_text else f"least({apart})"
    varied = f"min({name}) <> max({name}) and {unusual} >= {NOTICEABLE} * count({name})"
    return _summarize(feature) | {"did_vary": varied, "unusual": unusual}


def _describe(feature: FeatureRange) -> dict[str, str]:
    """Return all measures of a feature, and what it may be."""
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
