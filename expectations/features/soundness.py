"""Every feature of a snapshot is filled, varies, stays in its range, and has not exploded."""

from typing import TYPE_CHECKING

from expectations.features.profile import NOTICEABLE
from expectations.gate import expect_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

    from expectations.features import Context


TABLE = "profile"  # what `expect` judges: one row per feature


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect every feature filled, varied, in its range, and of the size it had in the snapshot before."""
    factor, minimum_rows = context.explosion_factor, context.minimum_rows
    observed = "format('{{:.1f}}% nulls, allowed {{:.1f}}%', 100 - 100 * filled / row_count, 100 * null_share)"
    has_emptied = "filled < (1 - null_share - 1e-9) * row_count and was_filled"
    was_common = f"coalesce(nullif(filled_before, 0) >= least({minimum_rows}, 0.5 * row_count), true)"
    yield _expect(
        "feature_is_filled",
        observed,
        where=f"{has_emptied} and {was_common}",
        says="no feature has more nulls than it may have, unless the snapshot before did",
    )
    yield _expect(
        "rare_feature_is_filled",
        observed,
        where=f"{has_emptied} and not {was_common}",
        says="what few customers had in the snapshot before, as many have",
        is_warning=True,
    )
    has_gone_silent = (
        f"is_constant and not may_be_constant and did_vary and filled >= {_most(minimum_rows)} "
        f"and coalesce(deviation_before >= {NOTICEABLE} * abs(mean_before), true)"
    )
    was_broad = f"coalesce(unusual_before >= {minimum_rows}, true)"
    yield _expect(
        "feature_varies",
        "format('{{:,}} rows with one value', row_count)",
        where=f"{has_gone_silent} and {was_broad}",
        says="no feature has one value for everybody, unless nearly everybody had it in the snapshot before",
    )
    yield _expect(
        "rare_feature_varies",
        "format('{{:,}} rows with one value, {{:,}} with another before', row_count, unusual_before)",
        where=f"{has_gone_silent} and not {was_broad}",
        says="what few customers had in the snapshot before, somebody has",
        is_warning=True,
    )
    yield _expect(
        "feature_is_in_range",
        "format('{{:.6g}} to {{:.6g}}, allowed {{}} to {{}}', lowest, highest, coalesce(cast(low as varchar), 'any'), "
        "coalesce(cast(high as varchar), 'any'))",
        where="lowest < low or highest > high or not isfinite(lowest) or not isfinite(highest)",
        says="every feature stays within its range and is finite",
    )
    yield _expect(
        "feature_has_not_exploded",
        "format('mean {{:.4g}}, {{:.4g}} before', mean, mean_before)",
        where=f"least(filled, filled_before) >= {_most(minimum_rows)} and abs(mean - mean_before) > deviation_before "
        f"and greatest(magnitude, magnitude_before) > {factor} * least(magnitude, magnitude_before) "
        "and magnitude_before > 0",
        says=f"no feature is more than {factor:g} times what it was in the snapshot before, or less than the same part",
    )


def _most(minimum_rows: int) -> str:
    """Return the values that a feature must have before chance no longer makes them all alike."""
    return f"greatest({minimum_rows}, {NOTICEABLE} * row_count)"


def _expect(rule: str, observed: str, *, where: str, says: str, is_warning: bool = False) -> "Expectation":
    query = f"select feature as column_name, {observed} as observed from {{batch}} where {where}"
    return expect_none(rule, query, says=says, is_warning=is_warning)
