"""The overall churn rate of the coming months, with an interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Floats, Tabular, as_table, column
from ml.encode import numbers

SEASON = 12  # months
RIDGE = 2.0  # months of evidence against a season that was seen only once
DAMPING = 0.5  # of the trend, each month
TINY = 1e-6
SCHEMA = pa.schema(
    [
        ("group", pa.string()),
        ("month", pa.date32()),
        ("is_forecast", pa.bool_()),
        ("rate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("industry_line", pa.float64()),
        ("chance_above_line", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Forecast:
    """The churn rate expected in one month; `low` to `high` holds it with the stated probability."""

    month: date
    rate: float
    low: float
    high: float


class ForecastError(ValueError):
    """There is too little history; the message states how much is needed."""


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


def _smooth(values: Floats, *, alpha: float = 0.3, beta: float = 0.1) -> tuple[float, float, Floats]:
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


@dataclass(frozen=True)
class GroupForecasts:
    """One row per group and month, past and to come; see `SCHEMA`. `unknown` gives the reason of groups without any."""

    table: pa.Table
    unknown: Mapping[str, str]


def forecast_groups(
    history: Tabular,
    *,
    group: str = "group",
    month: str = "month",
    customers: str = "customers",
    churned: str = "churned",
    line: float | None = None,
    ahead: int = 3,
    coverage: float = 0.80,
) -> GroupForecasts:
    """Forecast the churn rate of each group next to the industry's line.

    `history` has one row per group and month with counts of customers at risk and churned. Past rows carry the Wilson
    interval of their count, coming ones that of `forecast_churn_rate`, both at `coverage`. `chance_above_line` is the
    chance that the rate lies above `line` (a monthly rate), null without a line. A group whose
    history is too short keeps its past rows and gives its reason in `unknown`.
    """
    data = as_table(history)
    names = column(data, group).cast(pa.string())
    rows: list[dict[str, Any]] = []
    unknown = {}
    for name in sorted(pc.unique(names).to_pylist()):
        mine = data.filter(pc.equal(names, name))
        when = [_day(each) for each in column(mine, month).to_pylist()]
        size, lost = (numbers(each, column(mine, each)) for each in (customers, churned))
        points = [_observe(*each, coverage) for each in sorted(zip(when, size, lost, strict=True))]
        rows += [_row(name, point, line, coverage, is_forecast=False) for point in points]
        try:
            coming = forecast_churn_rate(when, size, lost, ahead=ahead, coverage=coverage)
        except ForecastError as error:
            unknown[name] = str(error)
            continue
        rows += [_row(name, point, line, coverage, is_forecast=True) for point in coming]
    return GroupForecasts(pa.Table.from_pylist(rows, schema=SCHEMA), unknown)


def _observe(month: date, size: float, lost: float, coverage: float) -> Forecast:
    """Return a past month with its Wilson interval; without customers the rate is unknown."""
    if not size:
        return Forecast(month, float("nan"), 0.0, 1.0)
    z, rate = _quantile(coverage), lost / size
    middle = (rate + z * z / (2 * size)) / (1 + z * z / size)
    reach = z / (1 + z * z / size) * (rate * (1 - rate) / size + z * z / (4 * size * size)) ** 0.5
    return Forecast(month, float(rate), float(max(0.0, middle - reach)), float(min(1.0, middle + reach)))


def _row(name: str, point: Forecast, line: float | None, coverage: float, *, is_forecast: bool) -> dict[str, Any]:
    known = not np.isnan(point.rate)
    return {
        "group": name,
        "month": point.month,
        "is_forecast": is_forecast,
        "rate": point.rate if known else None,
        "low": point.low,
        "high": point.high,
        "industry_line": line,
        "chance_above_line": None if line is None or not known else _chance_above(point, line, coverage),
    }


def _chance_above(point: Forecast, line: float, coverage: float) -> float:
    """Return the normal tail in log-odds whose width is that of the interval."""
    from scipy.stats import norm

    low, high, middle, edge = (_logit(each) for each in (point.low, point.high, point.rate, line))
    spread = max((high - low) / (2 * _quantile(coverage)), TINY)
    return float(norm.sf((edge - middle) / spread))


def _logit(rate: float) -> float:
    bounded = min(max(rate, TINY), 1 - TINY)
    return float(np.log(bounded / (1 - bounded)))


def _day(value: date | str) -> date:
    return date.fromisoformat(value[:10]) if isinstance(value, str) else date(value.year, value.month, value.day)
