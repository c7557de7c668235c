"""What strategies did: the treated against the untreated of the same strategy, and no verdict too early."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from retention.deciding.plan import HOLDOUT, TREATED

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from company.policy.measuring import Outcomes

ALL = "all"
COLUMNS = (
    "strategy_id", "n_treated", "n_holdout", "n_immature", "retention_treated", "retention_holdout", "difference",
    "difference_low", "difference_high", "needed_treated", "needed_holdout", "amount_difference", "amount_low",
    "amount_high", "cost_per_treated", "verdict", "is_below_floor",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference with its interval; all three are None when an arm is empty."""

    value: float | None
    low: float | None
    high: float | None


def read_effects(outcomes: "pd.DataFrame", policy: "Policy") -> "pd.DataFrame":
    """Return one row per strategy, and one called `all`, in `COLUMNS`.

    Args:
        outcomes: one row per ledger decision: strategy_id, arm (treated or holdout), event, churned, is_mature,
            amount_spent_after (may be missing), cost. Only `assigned` decisions count, whatever became of their
            messages: who was meant to be treated is what the hash decided. With planned_strategy_id, decisions that
            exploration changed are left out: the held-out group was chosen by the plan.
        policy: confidence, power, smallest effect worth finding, holdout share.

    Retention is the share that did not churn. The interval of its difference is Newcombe's hybrid of two Wilson score
    intervals (Statistics in Medicine 17, 1998, method 10). The needed sample is that of a two-sided test of two
    proportions with unequal arms (Fleiss, Tytun & Ury, Biometrics 36, 1980, without continuity correction). Verdicts:
    `insufficient` below that sample in either arm, else `works`, `harms` or `no_effect_found` by whether the interval
    lies above, below or around 0. Money is a difference of means with a normal interval.
    """
    import pandas as pd

    decided = outcomes.loc[outcomes["event"] == "assigned"] if "event" in outcomes else outcomes
    if "planned_strategy_id" in decided:
        planned = decided["planned_strategy_id"].fillna(decided["strategy_id"])
        decided = decided.loc[decided["strategy_id"].eq(planned) & decided["arm"].isin([TREATED, HOLDOUT])]
    groups = [(ALL, decided), *decided.groupby("strategy_id", sort=True)]
    rows = [_effect(str(name), group, policy) for name, group in groups]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _effect(strategy_id: str, group: "pd.DataFrame", policy: "Policy") -> dict[str, object]:
    mature = group.loc[group["is_mature"].astype(bool) & group["churned"].notna()]
    treated, held_out = (mature.loc[mature["arm"] == arm] for arm in (TREATED, HOLDOUT))
    kept = [int((~arm["churned"].astype(bool)).sum()) for arm in (treated, held_out)]
    sizes = [len(treated), len(held_out)]
    asked = policy.outcomes
    difference = newcombe(*_pairs(kept, sizes), confidence=asked.confidence)
    needed = needed_sample(_baseline(kept[1], sizes[1], asked), asked, holdout_share=policy.holdout.share)
    money = _money(treated, held_out, confidence=asked.confidence)
    share = kept[0] / sizes[0] if sizes[0] else None
    return {
        "strategy_id": strategy_id,
        "n_treated": sizes[0],
        "n_holdout": sizes[1],
        "n_immature": len(group) - len(mature),
        "retention_treated": share,
        "retention_holdout": kept[1] / sizes[1] if sizes[1] else None,
        "difference": difference.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "needed_treated": needed[0],
        "needed_holdout": needed[1],
        "amount_difference": money.value,
        "amount_low": money.low,
        "amount_high": money.high,
        "cost_per_treated": float(treated["cost"].mean()) if len(treated) and "cost" in treated else None,
        "verdict": _verdict(sizes, needed, difference),
        "is_below_floor": _is_enough(sizes, needed) and share is not None and share < asked.take_down_below,
    }


def _pairs(kept: list[int], sizes: list[int]) -> Iterator[tuple[int, int]]:
    return zip(kept, sizes, strict=True)


def _baseline(kept: int, size: int, asked: "Outcomes") -> float:
    return kept / size if size else asked.assumed_retention


def _is_enough(sizes: list[int], needed: tuple[int, int]) -> bool:
    return sizes[0] >= needed[0] and sizes[1] >= needed[1]


def _verdict(sizes: list[int], needed: tuple[int, int], difference: Difference) -> str:
    if difference.low is None or difference.high is None or not _is_enough(sizes, needed):
        return "insufficient"
    if difference.low > 0:
        return "works"
    return "harms" if difference.high < 0 else "no_effect_found"


def wilson(successes: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Journal of the ASA 22, 1927); n must be positive."""
    z = _z(confidence)
    p, square = successes / n, z * z
    centre, spread = p + square / (2 * n), z * sqrt(p * (1 - p) / n + square / (4 * n * n))
    return (centre - spread) / (1 + square / n), (centre + spread) / (1 + square / n)


def newcombe(first: tuple[int, int], second: tuple[int, int], *, confidence: float) -> Difference:
    """Return the difference of two proportions given as (successes, n), with Newcombe's interval."""
    if not first[1] or not second[1]:
        return Difference(value=None, low=None, high=None)
    p, q = first[0] / first[1], second[0] / second[1]
    p_low, p_high = wilson(*first, confidence=confidence)
    q_low, q_high = wilson(*second, confidence=confidence)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return Difference(value=p - q, low=low, high=high)


def needed_sample(baseline: float, asked: "Outcomes", *, holdout_share: float) -> tuple[int, int]:
    """Return how many treated and untreated it takes to find the smallest effect worth finding.

    `baseline` is the retention of the untreated; the effect is looked for on the side where there is room. With no
    holdout no sample is enough: then both numbers are those of equal arms.
    """
    ratio = (1 - holdout_share) / holdout_share if holdout_share else 1.0
    step = asked.smallest_effect
    better = baseline + step if baseline + step <= 1 else baseline - step
    pooled = (ratio * better + baseline) / (ratio + 1)
    by_chance = _z(asked.confidence) * sqrt((1 + 1 / ratio) * pooled * (1 - pooled))
    by_power = NormalDist().inv_cdf(asked.power) * sqrt(better * (1 - better) / ratio + baseline * (1 - baseline))
    untreated = ((by_chance + by_power) / step) ** 2
    return ceil(untreated * ratio), ceil(untreated)


def _money(treated: "pd.DataFrame", held_out: "pd.DataFrame", *, confidence: float) -> Difference:
    nothing = Difference(value=None, low=None, high=None)
    if "amount_spent_after" not in treated:
        return nothing
    ours, theirs = (arm["amount_spent_after"].dropna().astype(float) for arm in (treated, held_out))
    if min(len(ours), len(theirs)) < 2:  # noqa: PLR2004 - a variance needs two
        return nothing
    value = float(ours.mean() - theirs.mean())
    spread = _z(confidence) * sqrt(float(ours.var()) / len(ours) + float(theirs.var()) / len(theirs))
    return Difference(value=value, low=value - spread, high=value + spread)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
