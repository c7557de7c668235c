"""How long customers stay: survival by the time as a customer, and retention of who joined in the same month."""

from collections.abc import Mapping, Sequence
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any

import pandas as pd
import pyarrow as pa

from retention.measuring.periods import wilson

_TEXT, _COUNT, _SHARE = pa.string(), pa.int64(), pa.float64()
_INTERVAL = [("value", _SHARE), ("low", _SHARE), ("high", _SHARE)]
CURVE = pa.schema(
    [("group_name", _TEXT), ("months", _COUNT), *_INTERVAL, ("count_at_risk", _COUNT), ("count_lost", _COUNT)]
)
TRIANGLE = pa.schema(
    [("group_name", _TEXT), ("cohort_month", pa.date32()), ("months_since", _COUNT), ("holds_earlier", pa.bool_()),
     ("count_joined", _COUNT), ("count_active", _COUNT), *_INTERVAL]
)  # fmt: skip


def estimate_survival(counts: pd.DataFrame, *, confidence: float, fewest: int) -> pd.DataFrame:
    """Return by group the share of customers who are one for so many months at least, with its interval.

    The product-limit estimate over whole months (Kaplan and Meier, JASA 53, 1958), whose interval is Greenwood's on the
    scale of log(-log) (Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 1.4), so that it stays
    within 0 and 1; where nobody is left, that of Wilson's score over the last month.

    Args:
        counts: a row per group_name and tenure_month with count_at_risk and count_lost.
        confidence: of the interval.
        fewest: customers who have to be at risk; a curve ends before the first month with fewer.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    groups: dict[str, list[Mapping[Any, Any]]] = {}
    for each in counts.sort_values(["group_name", "tenure_month"]).to_dict("records"):
        groups.setdefault(each["group_name"], []).append(each)
    rows = [row for group, months in groups.items() for row in _follow(group, months, z=z, fewest=fewest)]
    return pd.DataFrame(rows, columns=CURVE.names)


def _follow(group: str, months: Sequence[Mapping[Any, Any]], *, z: float, fewest: int) -> list[dict[str, Any]]:
    """Return the curve of a group, from all of them at 0 months on."""
    if not months or months[0]["tenure_month"] != 0 or months[0]["count_at_risk"] < fewest:
        return []
    start = {"months": 0, "value": 1.0, "low": 1.0, "high": 1.0, "count_at_risk": months[0]["count_at_risk"]}
    rows, share, variance = [{"group_name": group, "count_lost": 0, **start}], 1.0, 0.0
    for number, each in enumerate(months):
        at_risk, lost = int(each["count_at_risk"]), int(each["count_lost"])
        if share == 0 or each["tenure_month"] != number or at_risk < fewest:
            break
        before, share = share, share * (1 - lost / at_risk)
        if share:
            variance += lost / (at_risk * (at_risk - lost))
        low, high = _log_log(share, variance, z=z) if share else (0.0, before * z * z / (at_risk + z * z))
        figures = {"value": share, "low": low, "high": high, "count_at_risk": at_risk, "count_lost": lost}
        rows.append({"group_name": group, "months": number + 1, **figures})
    return rows


def _log_log(share: float, variance: float, *, z: float) -> tuple[float, float]:
    if share == 1:
        return 1.0, 1.0
    spread = z * sqrt(variance) / abs(log(share))
    return float(share ** exp(spread)), float(share ** exp(-spread))


def describe_cohorts(counts: pd.DataFrame, *, confidence: float, fewest: int) -> pd.DataFrame:
    """Return the share of each cohort that is still there after so many months, with Wilson's interval.

    Args:
        counts: a row per group_name, cohort_month and months_since with count_joined and count_active.
        confidence: of the interval.
        fewest: customers who have to have joined; a smaller cohort has its counts and no share.
    """
    rows = []
    for each in counts.sort_values(["group_name", "cohort_month", "months_since"]).to_dict("records"):
        share: dict[Any, float | None] = dict.fromkeys(("value", "low", "high"))
        if each["count_joined"] >= fewest:
            low, high = wilson(each["count_active"], each["count_joined"], confidence=confidence)
            share = {"value": each["count_active"] / each["count_joined"], "low": low, "high": high}
        rows.append(each | share)
    return pd.DataFrame(rows, columns=TRIANGLE.names)
