"""What each customer brings in the coming months: orders and revenue, with an interval.

Spans that are over teach, the newest of them chooses: each way to forecast learns from spans that had ended when that
one began, or, in a short history, from other customers. How far off the chosen way was there gives the interval.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from hashlib import sha256
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.dataset import Floats, Rows, days
from ml.encode import numbers
from ml.forecasting.forecasters import FORECASTERS, ORDERS, REVENUE, Forecaster, Span, read, read_pace

COVERAGE = 0.8
FEWEST_CUSTOMERS = 50  # who must be seen in a span that is over
MOST_ROWS = 12_000  # learned from
BINS, BIN_ROWS = 10, 60  # customers of a like forecast share an interval
TENTH = 10
EARLIER, OTHERS = "an earlier span", "other customers"
_COLUMN = re.compile(rf"^({ORDERS}|{REVENUE})_(\d+)m$")


@dataclass(frozen=True)
class Figures:
    """How a way to forecast did on customers and a span that it had not seen; `sum_ratio` is forecast over truth.

    `deviance` is the Poisson deviance, smallest for the true mean; `top_share` is the part that the tenth forecast
    highest has of what the highest tenth brought.
    """

    deviance: float
    mae: float
    sum_ratio: float
    top_share: float


@dataclass(frozen=True)
class Spread:
    """For customers of a like forecast: between which multiples of it the truth lay, and the one in the middle."""

    edges: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def measure(cls, expected: Floats, truth: Floats) -> Self:
        """Take the multiples from forecasts that did not know the truth.

        Where more than the lower tail brings nothing at all, the interval begins there, and ends where it holds
        `COVERAGE`: equal tails would hold more than they claim.
        """
        count = int(np.clip(len(expected) // BIN_ROWS, 1, BINS))
        edges = np.unique(np.quantile(expected, np.arange(1, count) / count)) if count > 1 else np.array([])
        place, ratio = np.digitize(expected, edges), truth / np.maximum(expected, 1e-9)
        tail = (1 - COVERAGE) / 2
        found = [[0.0, 0.0, 0.0] for _ in range(len(edges) + 1)]
        for number in range(len(found)):
            mine = ratio[place == number] if (place == number).any() else ratio
            from_nothing = np.mean(mine <= 0) > tail
            shares = (0.0, 0.5, COVERAGE) if from_nothing else (tail, 0.5, 1 - tail)
            found[number] = [float(each) for each in np.quantile(mine, shares)]
        low, middle, high = zip(*found, strict=True)
        return cls(tuple(edges.tolist()), low, middle, high)

    def apply(self, expected: Floats) -> tuple[Floats, Floats, Floats]:
        """Return low, middle and high of each forecast."""
        place = np.digitize(expected, np.array(self.edges))
        low, middle, high = (expected * np.array(each)[place] for each in (self.low, self.middle, self.high))
        return low, middle, high


@dataclass(frozen=True)
class SpanModel:
    """The chosen way to forecast one target over one span, and how each way did."""

    months: int
    forecaster: Forecaster
    spread: Spread
    figures: Mapping[str, Figures]
    validated_on: str
    count_rows: int

    @property
    def target(self) -> str:
        """Orders or revenue."""
        return self.forecaster.span.target


@dataclass(frozen=True)
class ValueModels:
    """What forecasts the value of customers; `unknown` gives by months why there is no forecast."""

    models: tuple[SpanModel, ...]
    unknown: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what was learned."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the models as JSON."""
        rows = [
            {
                "months": each.months,
                "target": each.target,
                "days": each.forecaster.span.days,
                "kind": each.forecaster.kind,
                "learned": each.forecaster.state(),
                "spread": vars(each.spread),
                "figures": {name: vars(figures) for name, figures in each.figures.items()},
                "validated_on": each.validated_on,
                "count_rows": each.count_rows,
            }
            for each in self.models
        ]
        return json.dumps({"models": rows, "unknown": dict(self.unknown)}, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Rebuild from `to_bytes`."""
        kinds = {each.kind: each for each in FORECASTERS}
        kept = json.loads(content)
        models = tuple(
            SpanModel(
                months=row["months"],
                forecaster=kinds[row["kind"]](Span(row["target"], row["days"])).restore(row["learned"]),
                spread=Spread(**{name: tuple(values) for name, values in row["spread"].items()}),
                figures={name: Figures(**figures) for name, figures in row["figures"].items()},
                validated_on=row["validated_on"],
                count_rows=row["count_rows"],
            )
            for row in kept["models"]
        )
        return cls(models, {int(months): why for months, why in kept["unknown"].items()})


def learn_values(
    rows: pa.Table,
    *,
    features: Sequence[str],
    until: date,
    seed: int = 0,
    candidates: Sequence[type[Forecaster]] = FORECASTERS,
) -> ValueModels:
    """Learn for each target and span of `rows` from the spans that had ended on the day `until`.

    `rows` are those of features.value_snapshots: per customer and snapshot the features, the paces, and for each span
    `orders_<months>m`, `revenue_<months>m` and the first day after it, `until_<months>m`.
    """
    models, unknown = [], {}
    for name, target, months in _list_spans(rows):
        outcome = numbers(name, rows.column(name)).astype(float)
        ends = days(rows, f"until_{months}m")
        is_over = (ends <= np.datetime64(until, "D")) & ~np.isnan(outcome)
        over = rows.filter(pa.array(is_over))
        if _count_last(over) < FEWEST_CUSTOMERS:
            unknown[months] = f"no span of {months} months with {FEWEST_CUSTOMERS} customers is over yet."
            continue
        span = Span(target, int((ends[is_over][0] - days(over, "as_of")[0]).astype(int)))
        history = _History(over, outcome[is_over], span, tuple(features), seed)
        models.append(_choose(history, candidates, months=months))
    return ValueModels(tuple(models), unknown)


def _list_spans(rows: pa.Table) -> Iterator[tuple[str, str, int]]:
    """Yield column, target and months of each outcome, the shortest span first."""
    found = [(name, *match.groups()) for name in rows.column_names if (match := _COLUMN.match(name))]
    yield from sorted(((name, target, int(months)) for name, target, months in found), key=lambda each: each[2])


def _count_last(rows: pa.Table) -> int:
    when = days(rows, "as_of")
    return int(np.count_nonzero(when == when.max())) if len(when) else 0


@dataclass(frozen=True)
class _History:
    """Rows whose span is over, by customer and snapshot, and what came of each."""

    rows: pa.Table
    outcome: Floats
    span: Span
    features: tuple[str, ...]
    seed: int

    def fit(self, kind: type[Forecaster], which: Rows) -> Forecaster:
        """Learn from some rows, every so many of them where they are too many: each season is to be among them."""
        drawn = which[:: -(-len(which) // MOST_ROWS)]
        rows, outcome = _take(self.rows, drawn), self.outcome[drawn]
        return kind(self.span).fit(rows, outcome, features=list(self.features), seed=self.seed)

    def forecast(self, kind: type[Forecaster], parts: Sequence[tuple[Rows, Rows]]) -> Floats:
        """Forecast the second rows of each part by what the first teach."""
        found = [self.fit(kind, train).predict(_take(self.rows, validate)) for train, validate in parts]
        return np.concatenate(found)


def _choose(history: _History, candidates: Sequence[type[Forecaster]], *, months: int) -> SpanModel:
    validated_on, parts = _split(history.rows, history.span.days)
    truth = history.outcome[np.concatenate([validate for _, validate in parts])]
    candidates = [each for each in candidates if each.applies(history.rows)]
    forecasts = {each.kind: history.forecast(each, parts) for each in candidates}
    figures = {kind: evaluate(expected, truth) for kind, expected in forecasts.items()}
    chosen = min(candidates, key=lambda each: figures[each.kind].deviance)
    return SpanModel(
        months=months,
        forecaster=history.fit(chosen, np.arange(history.rows.num_rows)),
        spread=Spread.measure(forecasts[chosen.kind], truth),
        figures=figures,
        validated_on=validated_on,
        count_rows=min(history.rows.num_rows, MOST_ROWS),
    )


def _take(rows: pa.Table, which: Rows) -> pa.Table:
    return rows.take(pa.array(which))


def _split(rows: pa.Table, span_days: int) -> tuple[str, list[tuple[Rows, Rows]]]:
    """Return from what each way learns to forecast the newest snapshot: ended spans, or other customers.

    Where fewer than half of the snapshots ended before, what they teach says little of what all of them will.
    """
    when = days(rows, "as_of")
    last = np.flatnonzero(when == when.max())
    ended = np.flatnonzero(when + np.timedelta64(span_days, "D") <= when.max())
    if 2 * len(np.unique(when[ended])) >= len(np.unique(when)):
        return EARLIER, [(ended, last)]
    _, person = np.unique(np.array(rows.column("customer_id").to_pylist()), return_inverse=True)
    halves = [np.flatnonzero(person % 2 == half) for half in (0, 1)]
    return OTHERS, [(halves[1 - half], last[person[last] % 2 == half]) for half in (0, 1)]


def evaluate(expected: Floats, truth: Floats) -> Figures:
    """Compare forecasts with what came; where nothing came at all, the ratio and the share are unknown (NaN)."""
    least = max(float(truth.mean()), 1e-9) / 1000  # a forecast of 0 is wrong, not infinitely so
    mean = np.maximum(expected, least)
    came = np.maximum(truth, 0.0)
    deviance = 2 * np.mean(np.where(came > 0, came * np.log(np.maximum(came, 1e-300) / mean), 0.0) - came + mean)
    count = max(len(truth) // TENTH, 1)
    best = np.sort(truth)[::-1][:count].sum()
    caught = truth[np.argsort(-expected, kind="stable")[:count]].sum()
    total = truth.sum()
    return Figures(
        deviance=float(deviance),
        mae=float(np.abs(expected - truth).mean()),
        sum_ratio=float(expected.sum() / total) if total else float("nan"),
        top_share=float(caught / best) if best else float("nan"),
    )


SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("customer_id", pa.string()),
        ("horizon_months", pa.int64()),
        ("expected_orders", pa.float64()),
        ("expected_revenue", pa.float64()),
        ("median_revenue", pa.float64()),
        ("revenue_low", pa.float64()),
        ("revenue_high", pa.float64()),
    ]
)


def forecast_values(models: ValueModels, rows: pa.Table, *, as_of: date) -> pa.Table:
    """Return a row per customer and span (`SCHEMA`): the means, the median, and the interval of `COVERAGE`.

    A longer span never brings less than a shorter one, and the mean lies within its interval.
    """
    parts = []
    floor: dict[str, npt.NDArray[np.float64]] = {}
    for months in sorted({each.months for each in models.models}):
        by_target = {each.target: each for each in models.models if each.months == months}
        revenue = by_target[REVENUE]
        expected = revenue.forecaster.predict(rows)
        low, middle, high = revenue.spread.apply(expected)
        runs = read(rows, "yearly_fees") > 0  # that a contract just goes on is always among what may come
        pace = np.where(runs, read_pace(rows, revenue.forecaster.span), np.nan)
        low, high = np.fmin(np.fmin(low, pace), expected), np.fmax(np.fmax(high, pace), expected)
        middle = np.where(expected >= pace / 2, pace, middle)  # a contract likelier to go on than not brings its fee
        found = {
            "expected_orders": by_target[ORDERS].forecaster.predict(rows), "expected_revenue": expected,
            "median_revenue": middle, "revenue_low": low, "revenue_high": high,
        }  # fmt: skip
        floor = {name: np.maximum(values, floor.get(name, 0.0)) for name, values in found.items()}
        parts.append(
            pa.table(
                {
                    "as_of": pa.array([as_of] * rows.num_rows, pa.date32()),
                    "customer_id": rows.column("customer_id"),
                    "horizon_months": pa.array([months] * rows.num_rows, pa.int64()),
                    **floor,
                }
            ).cast(SCHEMA)
        )
    return pa.concat_tables(parts) if parts else SCHEMA.empty_table()


def describe(models: ValueModels) -> list[dict[str, Any]]:
    """Return a row per span, target and way to forecast: how it did, and whether it was chosen."""
    return [
        {
            "horizon_months": each.months,
            "target": each.target,
            "candidate": kind,
            **vars(figures),
            "is_chosen": kind == each.forecaster.kind,
            "validated_on": each.validated_on,
            "count_rows": each.count_rows,
        }
        for each in models.models
        for kind, figures in each.figures.items()
    ]
