"""The company's goals against what was measured, and churn next to a line that counts the same thing."""

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from retention.measuring.estimates import Difference

if TYPE_CHECKING:
    import pandas as pd

    from company.policy.measuring import Goals

COLUMNS = ("goal", "against", "value", "low", "high", "target", "state")
CHURN_FALL, VALUE_RISE = "churn_fall", "value_rise"
HELD_OUT, BEFORE = "held_out", "before"
REACHED, MISSED, OPEN = "reached", "missed", "open"
UNKNOWN = Difference(value=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Over the decisions of one arm: of those with a known outcome how many left, and the sums of the value."""

    known: int
    left: int
    valued: int
    value: float
    value_squared: float


def compare_with_goals(
    treated: Sums, held_out: Sums, months: "pd.DataFrame", *, goals: "Goals", confidence: float
) -> "pd.DataFrame":
    """Return one row per goal and what it is compared with, in `COLUMNS`.

    Args:
        treated: of the decisions that the plan chose.
        held_out: of those that were held out.
        months: month, customers, churned, and is_before: whether the first plan came after the month. Rates before and
            since compare the company with itself; other causes than retention move them as well.
        goals: by which share churn is to fall and the value of 12 months to rise.
        confidence: of the intervals.

    Falls and rises are shares of the compared. A goal is reached when the whole interval lies beyond it, missed when
    the whole lies short of it, else open.
    """
    import pandas as pd

    before, since = (_count(months, is_before=is_before) for is_before in (True, False))
    churn = fall_of_rate((treated.left, treated.known), (held_out.left, held_out.known), confidence=confidence)
    rows = [
        _row(CHURN_FALL, HELD_OUT, churn, goals.churn_fall),
        _row(CHURN_FALL, BEFORE, fall_of_rate(since, before, confidence=confidence), goals.churn_fall),
        _row(VALUE_RISE, HELD_OUT, rise_of_mean(treated, held_out, confidence=confidence), goals.value_rise),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _count(months: "pd.DataFrame", *, is_before: bool) -> tuple[int, int]:
    part = months.loc[months["is_before"].astype(bool).eq(is_before)]
    return int(part["churned"].sum()), int(part["customers"].sum())


def _row(goal: str, against: str, change: Difference, target: float) -> dict[str, object]:
    is_known = change.low is not None and change.high is not None
    state = OPEN
    if is_known and change.low is not None and change.low >= target:
        state = REACHED
    elif is_known and change.high is not None and change.high < target:
        state = MISSED
    shown = {"value": change.value, "low": change.low, "high": change.high}
    return {"goal": goal, "against": against, **shown, "target": target, "state": state}


def fall_of_rate(ours: tuple[int, int], theirs: tuple[int, int], *, confidence: float) -> Difference:
    """Return by which share a rate (events, of so many) lies below another: 1 - their ratio.

    The interval is that of the logarithm of the ratio (Katz and others, Biometrics 34, 1978); unknown without an event.
    """
    if min(*ours, *theirs) <= 0:
        return UNKNOWN
    ratio = ours[0] / ours[1] / (theirs[0] / theirs[1])
    error = sqrt(1 / ours[0] - 1 / ours[1] + 1 / theirs[0] - 1 / theirs[1])
    reach = exp(NormalDist().inv_cdf((1 + confidence) / 2) * error)
    return Difference(value=1 - ratio, low=1 - ratio * reach, high=1 - ratio / reach)


def rise_of_mean(ours: Sums, theirs: Sums, *, confidence: float) -> Difference:
    """Return by which share a mean value lies above another, with the interval of the logarithm of their ratio."""
    if min(ours.valued, theirs.valued) < 2 or min(ours.value, theirs.value) <= 0:  # noqa: PLR2004 - a variance needs two
        return UNKNOWN
    ratio = ours.value / ours.valued / (theirs.value / theirs.valued)
    error = sqrt(_relative_variance(ours) + _relative_variance(theirs))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Difference(value=ratio - 1, low=exp(log(ratio) - reach) - 1, high=exp(log(ratio) + reach) - 1)


def _relative_variance(sums: Sums) -> float:
    mean = sums.value / sums.valued
    variance = max(sums.value_squared / sums.valued - mean**2, 0.0) * sums.valued / (sums.valued - 1)
    return variance / sums.valued / mean**2


def measure_yearly_churn(count_lost: int, customer_years: float, *, confidence: float) -> Difference:
    """Return the share of customers lost within a year, for good, at the rate of those lost per year lived.

    A yearly line of an industry counts such losses; a rate of some weeks' inactivity counts pauses as well, and no
    conversion makes one of the other. The interval is Garwood's of a count (Biometrika 28, 1936).
    """
    from scipy.special import chdtri

    if customer_years <= 0:
        return UNKNOWN
    tail = (1 - confidence) / 2
    low = chdtri(2 * count_lost, 1 - tail) / 2 if count_lost else 0.0
    high = chdtri(2 * (count_lost + 1), tail) / 2
    value, low, high = (1 - exp(-float(count) / customer_years) for count in (count_lost, low, high))
    return Difference(value=value, low=low, high=high)
