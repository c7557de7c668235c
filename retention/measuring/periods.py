"""What came of the plans of each day, week and month: the treated next to the held-out of the same period."""

from collections.abc import Mapping
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from retention.deciding.plan import HOLDOUT, TREATED
from retention.measuring.estimates import Difference

if TYPE_CHECKING:
    import pandas as pd

KEY = ("period", "period_start", "strategy_id", "effect_group")
COUNTS = ("count_decisions", "count_known")
SHARES = ("opened", "used")
CONTRASTS = ("retained", "repurchased", "spent", "value")
COLUMNS = (
    *KEY, "count_treated", "count_holdout", "known_treated", "known_holdout", "amount_cost", "count_sent",
    *(f"share_{name}" for name in SHARES),
    *(f"{name}_{part}" for name in CONTRASTS for part in ("treated", "holdout", "difference", "low", "high")),
    "share_value_measured",
)  # fmt: skip
UNKNOWN = Difference(value=None, low=None, high=None)


def compare_periods(by_arm: "pd.DataFrame", *, confidence: float) -> "pd.DataFrame":
    """Return one row per period, strategy and group, in `COLUMNS`.

    Args:
        by_arm: `outcomes.outcomes_by_arm`, at most a row per arm of each.
        confidence: of the intervals: Newcombe's of two shares, the normal one of two means.

    Retained and repurchased are shares of the decisions with a known outcome, spent and value means per decision. An
    interval of a single day is wide, and among many days some lie beyond 0 by chance: verdicts are in strategy_effects.
    """
    import pandas as pd

    rows = []
    for key, group in by_arm.groupby(list(KEY), sort=True):
        treated, held = (_pick(group, arm) for arm in (TREATED, HOLDOUT))
        rows.append({**dict(zip(KEY, key, strict=True)), **_compare(treated, held, confidence=confidence)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _pick(group: "pd.DataFrame", arm: str) -> dict[str, Any]:
    rows = group.loc[group["arm"].eq(arm)]
    return {str(name): rows[name].iloc[0] for name in rows} if len(rows) else {}


def _compare(treated: Mapping[str, Any], held: Mapping[str, Any], *, confidence: float) -> dict[str, object]:
    sent, valued = treated.get("count_sent", 0), treated.get("count_valued", 0)
    row: dict[str, object] = {
        "count_treated": treated.get("count_decisions", 0),
        "count_holdout": held.get("count_decisions", 0),
        "known_treated": treated.get("count_known", 0),
        "known_holdout": held.get("count_known", 0),
        "amount_cost": treated.get("amount_cost", 0.0),
        "count_sent": sent,
        "share_value_measured": treated["count_value_measured"] / valued if valued else None,
    }
    row |= {f"share_{name}": treated[f"count_{name}"] / sent if sent else None for name in SHARES}
    for name in ("retained", "repurchased"):
        row |= _contrast_shares(name, treated, held, confidence=confidence)
    row |= _contrast_means("spent", "amount_spent", "count_known", treated, held, confidence=confidence)
    return row | _contrast_means("value", "value_12_months", "count_valued", treated, held, confidence=confidence)


def _contrast_shares(
    name: str, treated: Mapping[str, Any], held: Mapping[str, Any], *, confidence: float
) -> dict[str, object]:
    first, second = ((int(arm.get(f"count_{name}", 0)), int(arm.get("count_known", 0))) for arm in (treated, held))
    shares = [hits / known if known else None for hits, known in (first, second)]
    return _columns(name, shares, newcombe(first, second, confidence=confidence))


def _contrast_means(
    name: str, column: str, count: str, treated: Mapping[str, Any], held: Mapping[str, Any], *, confidence: float
) -> dict[str, object]:
    sizes = [int(arm.get(count, 0)) for arm in (treated, held)]
    means = [arm[column] / size if size else None for arm, size in zip((treated, held), sizes, strict=True)]
    if min(sizes) < 2:  # noqa: PLR2004 - a variance needs two
        return _columns(name, means, UNKNOWN)
    variance = sum(
        max(arm[f"{column}_squared"] / size - (arm[column] / size) ** 2, 0.0) / (size - 1)
        for arm, size in zip((treated, held), sizes, strict=True)
    )
    value = float(treated[column] / sizes[0] - held[column] / sizes[1])
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(variance)
    return _columns(name, means, Difference(value=value, low=value - reach, high=value + reach))


def _columns(name: str, values: list[float | None], difference: Difference) -> dict[str, object]:
    return {
        f"{name}_treated": values[0],
        f"{name}_holdout": values[1],
        f"{name}_difference": difference.value,
        f"{name}_low": difference.low,
        f"{name}_high": difference.high,
    }


def newcombe(first: tuple[int, int], second: tuple[int, int], *, confidence: float) -> Difference:
    """Return the difference of two shares given as (successes, n), with Newcombe's interval; unknown with an n of 0.

    It joins two Wilson score intervals (Statistics in Medicine 17, 1998, method 10), which hold for the small
    arms of a single day as well.
    """
    if not first[1] or not second[1]:
        return UNKNOWN
    p, q = first[0] / first[1], second[0] / second[1]
    (p_low, p_high), (q_low, q_high) = (wilson(*each, confidence=confidence) for each in (first, second))
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return Difference(value=p - q, low=low, high=high)


def wilson(successes: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Journal of the ASA 22, 1927); n must be positive."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, square = successes / n, z * z
    centre, spread = p + square / (2 * n), z * sqrt(p * (1 - p) / n + square / (4 * n * n))
    return (centre - spread) / (1 + square / n), (centre + spread) / (1 + square / n)
