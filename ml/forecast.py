"""The overall churn rate of the coming months, with an interval that says how little is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from ml.dataset import Floats

SEASON = 12  # months
RIDGE = 2.0  # months of evidence against a season that was seen only once


@dataclass(frozen=True)
class Forecast:
    """The churn rate expected in one month; `low` to `high` holds it with the stated probability."""

    month: date
    rate: float
    low: float
    high: float


class ForecastError(ValueError):
    """There is too little history; the message says how much is needed."""


def forecast_churn_rate(
    months: Sequence[date],
    customers: Floats,
    churned: Floats,
    *,
    ahead: int = 3,
    coverage: float = 0.80,
    fewest: int = 6,
) -> tuple[Forecast, ...]:
    """Forecast the rate `ahead` months from monthly counts of customers at risk and of those who churned.

    The log-odds follow a level smoothed over time, a damped trend, and from two years on a season shrunk towards none.
    The interval joins what past one-step errors show with the counting error of a month. Raises a `ForecastError`
    below `fewest` months.
    """
    if len(months) < fewest:
        raise ForecastError(f"{len(months)} months of churn rates are known, {fewest} are needed to forecast any.")
    order = np.argsort(np.array(months, dtype="datetime64[D]"))
    when = [months[position] for position in order]
    size, lost = np.asarray(customers, dtype=float)[order], np.asarray(churned, dtype=float)[order]
    logit = np.log((lost + 0.5) / (size - lost + 0.5))
    season = _season(when, logit)
    level, trend, errors = _smooth(logit - season[[month.month - 1 for month in when]])
    counting = 1 / np.mean(size * _rate(logit) * (1 - _rate(logit)))
    spread = max(float(np.mean(errors**2)), float(counting)) ** 0.5 * _quantile(coverage)
    found, month = [], when[-1]
    for step in range(1, ahead + 1):
        month = (month.replace(day=1) + timedelta(days=32)).replace(day=1)
        middle = level + trend * _damped(step) + season[month.month - 1]
        reach = spread * step**0.5
        rate, low, high = (float(_rate(np.array(each))) for each in (middle, middle - reach, middle + reach))
        found.append(Forecast(month, rate, low, high))
    return tuple(found)


def _season(months: Sequence[date], logit: Floats) -> Floats:
    """Return each calendar month's distance from the mean, shrunk towards none; none before two years."""
    found = np.zeros(SEASON)
    if len(months) < 2 * SEASON:
        return found
    number = np.array([month.month - 1 for month in months])
    for month in range(SEASON):
        apart = logit[number == month] - logit.mean()
        found[month] = apart.sum() / (len(apart) + RIDGE)
    return found


def _smooth(values: Floats, *, alpha: float = 0.5, beta: float = 0.1) -> tuple[float, float, Floats]:
    """Holt's linear smoothing with a damped trend; return level, trend and the one-step errors."""
    level, trend = float(values[:3].mean()), 0.0
    errors = []
    for value in values[1:]:
        expected = level + DAMPING * trend
        errors.append(value - expected)
        before, level = level, expected + alpha * (value - expected)
        trend = (1 - beta) * DAMPING * trend + beta * (level - before)
    return level, trend, np.array(errors)


def _damped(steps: int) -> float:
    return sum(DAMPING**step for step in range(1, steps + 1))


def _quantile(coverage: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(0.5 + coverage / 2))


def _rate(logit: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-logit))
    return found


DAMPING = 0.8
