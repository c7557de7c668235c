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
FEES, PURCHASES = "fees", "purchases"
SAME_FEE = 0.005  # of a fee: what its days in a span differ by
TIED = 3  # truths that are equal, from which on they are no chance
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
    """For customers ranked alike: between which multiples of a base the truth lay, and the one in the middle.

    Where many bring exactly an end of the interval, nothing or the fee that goes on, it holds more of them than it
    claims. `at_low` and `at_high` are the part of those at an end that its claim needs; 1 where nobody is too many.
    """

    edges: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]
    at_low: tuple[float, ...]
    at_high: tuple[float, ...]

    @classmethod
    def measure(cls, rank: Floats, multiple: Floats) -> Self:
        """Take the multiples from forecasts that did not know the truth.

        Where more than the lower tail brings nothing at all, the interval begins there, and ends where it holds
        `COVERAGE`: equal tails would hold more than they claim.
        """
        count = int(np.clip(len(rank) // BIN_ROWS, 1, BINS))
        edges = np.unique(np.quantile(rank, np.arange(1, count) / count)) if count > 1 else np.array([])
        place = np.digitize(rank, edges)
        alike = [multiple[place == number] for number in range(len(edges) + 1)]
        found = [_measure_alike(mine if len(mine) else multiple) for mine in alike]
        return cls(tuple(edges.tolist()), *zip(*found, strict=True))

    def apply(self, rank: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the low, middle and high multiple of each customer."""
        place = np.digitize(rank, np.array(self.edges))
        low, middle, high = (np.array(each)[place] for each in (self.low, self.middle, self.high))
        return low, middle, high

    def count_held(self, rank: Floats, multiple: Floats) -> Floats:
        """Return to what part the claim counts each truth as held: 1 within, 0 outside, at an end as measured."""
        low, _, high = self.apply(rank)
        place = np.digitize(rank, np.array(self.edges))
        within = ((low < multiple) & (multiple < high)).astype(float)
        at_end = np.where(multiple == low, np.array(self.at_low)[place], within)
        found: Floats = np.where(multiple == high, np.array(self.at_high)[place], at_end)
        return found


def _measure_alike(multiple: Floats) -> tuple[float, float, float, float, float]:
    """Return low, middle, high, and the parts of those at low and at high that the claim needs."""
    tail = (1 - COVERAGE) / 2
    first, last = (0.0, COVERAGE) if np.mean(multiple <= 0) > tail else (tail, 1 - tail)
    low, middle, high = (float(each) for each in np.quantile(multiple, (first, 0.5, last)))
    at_low, at_high = (_need(multiple, end, first, last) for end in (low, high))
    return low, middle, high, at_low, at_high


def _need(multiple: Floats, end: float, first: float, last: float) -> float:
    """Return which part of the truths equal to `end` lies between the shares `first` and `last` of all truths."""
    below, upto = float(np.mean(multiple < end)), float(np.mean(multiple <= end))
    if (upto - below) * len(multiple) < TIED:
        return 1.0
    return (min(upto, last) - max(below, first)) / (upto - below)


@dataclass(frozen=True)
class _Layout:
    """Of which kind a customer is, by what their spread multiplies, and how they are ranked within the kind.

    A running fee goes on or not: its multiples are of the fee, ranked by the part of it that is expected. Purchases
    vary around what is expected of them.
    """

    kind: npt.NDArray[np.str_]
    base: Floats
    rank: Floats

    @classmethod
    def of(cls, rows: pa.Table, span: Span, expected: Floats, *, has_fees: bool) -> Self:
        pace, least = read_pace(rows, span), 1e-9
        runs = (read(rows, "yearly_fees") > 0) & (pace > 0) & has_fees & (span.target == REVENUE)
        base = np.maximum(np.where(runs, pace, expected), least)
        return cls(np.where(runs, FEES, PURCHASES), base, np.where(runs, expected / base, expected))

    def multiply(self, truth: Floats) -> Floats:
        """Return what the truth is as a multiple of the base, 1 where the fee just went on."""
        multiple = truth / self.base
        went_on = (self.kind == FEES) & (np.abs(multiple - 1) <= SAME_FEE)
        return np.asarray(np.where(went_on, 1.0, multiple), dtype=float)


def _measure_spreads(rows: pa.Table, span: Span, expected: Floats, truth: Floats) -> dict[str, Spread]:
    """Measure each kind of customers apart; too few with fees are like the rest, too few others like all."""
    has_fees = bool(np.count_nonzero(read(rows, "yearly_fees") > 0) >= FEWEST_CUSTOMERS)
    layout = _Layout.of(rows, span, expected, has_fees=has_fees)
    multiple, found = layout.multiply(truth), {}
    for kind in (FEES, PURCHASES):
        mine = layout.kind == kind
        if np.count_nonzero(mine) >= FEWEST_CUSTOMERS:
            found[kind] = Spread.measure(layout.rank[mine], multiple[mine])
    if PURCHASES not in found:
        found[PURCHASES] = Spread.measure(expected, truth / np.maximum(expected, 1e-9))
    return found


@dataclass(frozen=True)
class SpanModel:
    """The chosen way to forecast one target over one span, and how each way did."""

    months: int
    forecaster: Forecaster
    spreads: Mapping[str, Spread]
    figures: Mapping[str, Figures]
    validated_on: str
    count_rows: int

    @property
    def target(self) -> str:
        """Orders or revenue."""
        return self.forecaster.span.target

    def bound(self, rows: pa.Table, expected: Floats) -> tuple[Floats, Floats, Floats]:
        """Return low, middle and high of each forecast."""
        layout = self._lay_out(rows, expected)
        low, middle, high = (np.zeros(len(expected)) for _ in range(3))
        for kind, spread in self.spreads.items():
            mine = layout.kind == kind
            low[mine], middle[mine], high[mine] = spread.apply(layout.rank[mine])
        return low * layout.base, middle * layout.base, high * layout.base

    def count_held(self, rows: pa.Table, expected: Floats, truth: Floats) -> Floats:
        """Return to what part each truth counts as held by its interval; see `Spread`."""
        layout = self._lay_out(rows, expected)
        multiple, held = layout.multiply(truth), np.zeros(len(expected))
        for kind, spread in self.spreads.items():
            mine = layout.kind == kind
            held[mine] = spread.count_held(layout.rank[mine], multiple[mine])
        return held

    def _lay_out(self, rows: pa.Table, expected: Floats) -> _Layout:
        return _Layout.of(rows, self.forecaster.span, expected, has_fees=FEES in self.spreads)


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
                "spreads": {kind: vars(spread) for kind, spread in each.spreads.items()},
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
                spreads={
                    kind: Spread(**{name: tuple(values) for name, values in spread.items()})
                    for kind, spread in row["spreads"].items()
                },
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
    validated = np.concatenate([validate for _, validate in parts])
    truth = history.outcome[validated]
    candidates = [each for each in candidates if each.applies(history.rows)]
    forecasts = {each.kind: history.forecast(each, parts) for each in candidates}
    figures = {kind: evaluate(expected, truth) for kind, expected in forecasts.items()}
    chosen = min(candidates, key=lambda each: figures[each.kind].deviance)
    return SpanModel(
        months=months,
        forecaster=history.fit(chosen, np.arange(history.rows.num_rows)),
        spreads=_measure_spreads(_take(history.rows, validated), history.span, forecasts[chosen.kind], truth),
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
        low, middle, high = revenue.bound(rows, expected)
        low, high = np.minimum(low, expected), np.maximum(high, expected)
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
