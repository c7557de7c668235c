"""The alert system itself, assessed: is it right, in time, answered, and does answering pay."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from retention.measuring.estimates import compare
from retention.measuring.periods import wilson

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
PERIODS = {"week": "W-SUN", "month": "M"}
COLUMNS = (
    "period", "period_start", "level", "count_raised", "count_answered", "count_missed", "hours_to_answer",
    "hours_to_action", "count_untreated", "count_left", "precision", "precision_low", "precision_high", "days_ahead",
    "count_feedback", "share_useful", "handling_cost", "benefit", "benefit_low", "benefit_high",
)  # fmt: skip
_HOUR = 3600.0
_MONEY = ("benefit", "benefit_low", "benefit_high")


def assess_alerts(alerts: "pd.DataFrame", costs: Mapping[str, float], *, confidence: float) -> "pd.DataFrame":
    """Return `COLUMNS`, one row per week or month of the alerts and level, and for all levels together.

    Alerts that an incident or a more urgent alert took the place of ask nobody for an answer and are left out.

    - precision: of those who got no message until their window was over, the share that left, with Wilson's interval.
      A message may have kept who would have left, so that the others alone show whether an alert was right.
    - days_ahead: a median, of days from the alert to the loss.
    - hours_to_answer, hours_to_action: medians, from the alert to the first answer of a person, and to that or the
      message, whichever came first. Replayed days have none.
    - handling_cost: of every alert answered, a contact by its level's channel.
    - benefit: what the alerts whose customers the plan treated brought, by value of 12 months against those it held
      out, with its interval; empty where one of both is missing.

    Args:
        alerts: the columns of outcomes.alert_outcomes.
        costs: of one contact, by level, in currency.
        confidence: of the intervals.
    """
    import pandas as pd

    asking = alerts.loc[~alerts["is_folded"].fillna(False).astype(bool)]
    asking = asking.assign(**_measure(asking), cost=asking["level"].map(costs).astype(float))
    rows = [
        {"period": period, "period_start": start.start_time.date(), "level": level, **_assess(group, confidence)}
        for period, rule in PERIODS.items()
        for start, inside in asking.groupby(pd.to_datetime(asking["as_of"]).dt.to_period(rule))
        for level, group in _by_level(inside)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _measure(alerts: "pd.DataFrame") -> "dict[str, pd.Series[float]]":
    """Return the hours of each alert to the answer, and to the first thing done; missing on replayed days."""
    import pandas as pd

    raised, answered, sent = (pd.to_datetime(alerts[name]) for name in ("raised_at", "answered_at", "sent_at"))
    is_live = ~alerts["is_replay"].fillna(False).astype(bool)
    first = pd.concat([answered, sent.where(sent >= raised)], axis=1).min(axis=1)
    return {
        name: ((moment - raised).dt.total_seconds() / _HOUR).where(is_live)
        for name, moment in (("to_answer", answered), ("to_action", first))
    }


def _by_level(alerts: "pd.DataFrame") -> "Iterator[tuple[str, pd.DataFrame]]":
    yield ALL, alerts
    yield from ((str(level), group) for level, group in alerts.groupby("level"))


def _assess(alerts: "pd.DataFrame", confidence: float) -> dict[str, Any]:
    is_answered = alerts["answered_at"].notna()
    feedback = alerts["feedback"].dropna()
    return {
        "count_raised": len(alerts),
        "count_answered": int(is_answered.sum()),
        "count_missed": int(alerts["is_missed"].sum()),
        "hours_to_answer": _median(alerts["to_answer"]),
        "hours_to_action": _median(alerts["to_action"]),
        **_measure_precision(alerts, confidence),
        "days_ahead": _median(alerts["days_ahead"]),
        "count_feedback": len(feedback),
        "share_useful": float(feedback.eq("useful").mean()) if len(feedback) else None,
        "handling_cost": float(alerts.loc[is_answered, "cost"].sum()),
        **_measure_benefit(alerts, confidence),
    }


def _measure_precision(alerts: "pd.DataFrame", confidence: float) -> dict[str, Any]:
    untreated = alerts.loc[alerts["churned"].notna() & ~alerts["is_treated"].astype(bool), "churned"].astype(bool)
    left, count = int(untreated.sum()), len(untreated)
    low, high = wilson(left, count, confidence=confidence) if count else (None, None)
    return {
        "count_untreated": count,
        "count_left": left,
        "precision": left / count if count else None,
        "precision_low": low,
        "precision_high": high,
    }


def _measure_benefit(alerts: "pd.DataFrame", confidence: float) -> dict[str, float | None]:
    from statistics import NormalDist

    decided = alerts.loc[alerts["arm"].isin(("treated", "holdout")) & alerts["value_12_months"].notna()]
    is_treated = decided["arm"].eq("treated").to_numpy()
    customers = np.unique(decided["customer_id"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    found = compare(decided["value_12_months"].to_numpy(dtype=float), is_treated, customers)
    if found is None:
        return dict.fromkeys(_MONEY)
    count, spread = int(is_treated.sum()), NormalDist().inv_cdf((1 + confidence) / 2) * found.error
    return {
        "benefit": count * found.value,
        "benefit_low": count * (found.value - spread),
        "benefit_high": count * (found.value + spread),
    }


def _median(values: "pd.Series[Any]") -> float | None:
    known = values.dropna()
    return float(known.median()) if len(known) else None
