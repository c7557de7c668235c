"""Trends: where the weekly rate of a group changed its level, and which way it is going since; the funnel's drops."""

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retention.acting.incidents import adjust, measure_rates

if TYPE_CHECKING:
    import pandas as pd

Numbers = npt.NDArray[np.float64]
LEAST_WEEKS = 12  # of a series, and its customers and acts, below which nothing is looked for
LEAST_CUSTOMERS, LEAST_ACTS = 20, 20
SHORTEST = 3  # weeks on either side of a change
DRAWS = 199
TREND_COLUMNS = (
    "measure", "group_name", "count_customers", "rate_now", "slope", "changed_on", "rate_before", "rate_since",
    "p_value", "q_value", "is_change",
)  # fmt: skip
FUNNEL_COLUMNS = (
    "step", "step_number", "group_name", "first_date", "count_customers", "count_continued", "share_continued",
    "lost_expected", "q_value", "is_drop",
)  # fmt: skip


def find_trends(weeks: "pd.DataFrame", *, false_discovery_rate: float, seed: int = 0) -> "pd.DataFrame":
    """Return a row per measure and group with its last change of level; see TREND_COLUMNS.

    Args:
        weeks: one row per measure, group_name and week_number (0 is the latest) with first_date, count_customers and
            count_active.
        false_discovery_rate: share of false changes among all that are called one, at most.
        seed: of the draws.

    The change is the split of the largest Poisson likelihood ratio. Its p-value comes from a Gumbel distribution with
    the mean and spread of the largest ratios of DRAWS orders of the same weeks (a permutation test whose p-values can
    be small), q is the false discovery rate (Benjamini and Hochberg, JRSS B 1995). The weeks after a likely change are
    looked at again, so that the last one is found (binary segmentation, Scott and Knott, Biometrics 1974). `slope` is
    the relative change a week over the weeks since.
    """
    import pandas as pd

    rows = []
    for (measure, group), series in weeks.sort_values("week_number", ascending=False).groupby(
        ["measure", "group_name"]
    ):
        found = _look_at(series, rng=np.random.default_rng(seed))
        if found:
            rows.append({"measure": measure, "group_name": group, **found})
    trends = pd.DataFrame(rows, columns=[name for name in TREND_COLUMNS if name not in {"q_value", "is_change"}])
    trends = trends.assign(q_value=adjust(trends["p_value"].to_numpy(dtype=float)))
    return trends.assign(is_change=trends["q_value"] <= false_discovery_rate)[list(TREND_COLUMNS)]


def _look_at(series: "pd.DataFrame", *, rng: np.random.Generator) -> dict[str, Any] | None:
    known = series.loc[series["count_customers"] >= LEAST_CUSTOMERS]
    counts, exposed = (known[name].to_numpy(dtype=float) for name in ("count_active", "count_customers"))
    if len(known) < LEAST_WEEKS or counts.sum() < LEAST_ACTS:
        return None
    split, p_value, start = _find_last_change(counts, exposed, rng=rng)
    since = known["first_date"].iloc[split]
    return {
        "count_customers": int(exposed[-1]),
        "rate_now": float(counts[-4:].sum() / exposed[-4:].sum()),
        "slope": _measure_slope(counts[split:], exposed[split:]),
        "changed_on": since if isinstance(since, date) else since.date(),
        "rate_before": float(counts[start:split].sum() / exposed[start:split].sum()),
        "rate_since": float(counts[split:].sum() / exposed[split:].sum()),
        "p_value": p_value,
    }


def _find_last_change(counts: Numbers, exposed: Numbers, *, rng: np.random.Generator) -> tuple[int, float, int]:
    """Return the first week of the last likely change, its p-value, and the first week of the level before it."""
    split, p_value = find_change(counts, exposed, rng=rng)
    start = 0
    while p_value <= 1 / 20 and len(counts) - split >= LEAST_WEEKS:
        later, chance = find_change(counts[split:], exposed[split:], rng=rng)
        if chance > p_value or chance > 1 / 20:
            break
        start, split, p_value = split, split + later, chance
    return split, p_value, start


def find_change(counts: Numbers, exposed: Numbers, *, rng: np.random.Generator) -> tuple[int, float]:
    """Return the first week of the most likely change of level, and the chance that as large a one arises."""
    gains = measure_gains(counts[None], exposed[None])[0]
    orders = np.argsort(rng.random((DRAWS, len(counts))), axis=1)
    drawn = measure_gains(counts[orders], exposed[orders]).max(axis=1)
    scale = max(float(drawn.std()) * np.sqrt(6) / np.pi, 1e-9)
    excess = (float(gains.max()) - float(drawn.mean())) / scale + np.euler_gamma
    return SHORTEST + int(gains.argmax()), float(-np.expm1(-np.exp(-excess)))


def measure_gains(counts: Numbers, exposed: Numbers) -> Numbers:
    """Return by how much two rates fit each series (rows x weeks) better than one, for every split."""
    last = counts.shape[1] - SHORTEST
    before, exposed_before = (np.cumsum(each, axis=1)[:, SHORTEST - 1 : last] for each in (counts, exposed))
    total, exposed_total = (each.sum(axis=1, keepdims=True) for each in (counts, exposed))
    return (
        _fit(before, exposed_before) + _fit(total - before, exposed_total - exposed_before) - _fit(total, exposed_total)
    )


def _fit(count: Numbers, exposed: Numbers) -> Numbers:
    """Return the largest log-likelihood of a Poisson count, but for what no rate changes."""
    return np.where(count > 0, count * np.log(np.maximum(count, 1e-9) / exposed), 0.0)


def _measure_slope(counts: Numbers, exposed: Numbers) -> float:
    """Return the relative change a week, by least squares on the logarithms, each week weighed by its count."""
    place = np.arange(len(counts), dtype=float)
    rate, weight = np.log((counts + 0.5) / exposed), counts + 0.5
    centred = place - np.average(place, weights=weight)
    return round(float(np.expm1((weight * centred * rate).sum() / (weight * centred**2).sum())), 9)


def find_drops(weeks: "pd.DataFrame", *, false_discovery_rate: float) -> "pd.DataFrame":
    """Return a row per step, group and week in which somebody reached the step; see FUNNEL_COLUMNS.

    Args:
        weeks: one row per step, group_name and week_number (0 is the latest) with step_number, first_date,
            count_customers who reached the step, and count_continued.
        false_discovery_rate: share of false drops among all that are called one, at most.

    A drop is a latest week in which more than usual were lost at a step, by the test of incidents
    (`retention.acting.incidents.measure_rates`). Earlier weeks have no q-value.
    """
    windows = weeks.rename(columns={"step": "measure", "week_number": "window_number"}).assign(
        count_events=weeks["count_customers"] - weeks["count_continued"], last_date=weeks["first_date"]
    )
    tested = measure_rates(windows).rename(columns={"measure": "step", "count_expected": "lost_expected"})
    columns = ["step", "group_name", "first_date", "lost_expected", "ratio", "q_value"]
    reached = weeks.loc[weeks["count_customers"] > 0]
    found = reached.merge(tested[columns], on=["step", "group_name", "first_date"], how="left")
    found["share_continued"] = found["count_continued"] / found["count_customers"]
    found["is_drop"] = (found["q_value"] <= false_discovery_rate) & (found["ratio"] > 1)
    return found.sort_values(["group_name", "step_number", "first_date"], ignore_index=True)[list(FUNNEL_COLUMNS)]
