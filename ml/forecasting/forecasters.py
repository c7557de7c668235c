"""Ways to foretell what a customer brings within a span: each learns from spans that are over.

All read the rows of features.value_snapshots. What fits which company is decided by spans held back, not here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from ml.dataset import Floats, column, days, list_informative
from ml.encode import Encoder, numbers
from ml.forecasting.bg_nbd import BuyAgain, Spend
from ml.learners.base import Compute
from ml.learners.trees import Trees

ORDERS, REVENUE = "orders", "revenue"
PACES = {ORDERS: ("yearly_orders",), REVENUE: ("yearly_purchases", "yearly_fees")}
YEAR, WEEK = 365, 7
MONTH = "month_of_year"
SILENCES = (3, 7, 14, 21, 30, 45, 60, 90, 135, 180, 270, 365)  # days since the last order
TENURES = (90, 180, 365, 730)  # days since the first contract
PRIOR = 10.0  # customers at the pace of all, that a cell's own count is weighed against


@dataclass(frozen=True)
class Span:
    """What is foretold: orders or revenue, within so many days."""

    target: str
    days: int


@dataclass
class Forecaster(ABC):
    """Foretells one target over one span. `fit` learns, `predict` touches no state; both are kept as JSON."""

    span: Span
    kind: ClassVar[str]

    @classmethod
    def applies(cls, rows: pa.Table) -> bool:
        """Return whether this way to forecast is worth trying for such customers."""
        del rows
        return True

    @abstractmethod
    def fit(self, rows: pa.Table, outcome: Floats, *, features: list[str], seed: int) -> Self:
        """Learn from rows of earlier snapshots and what came of each."""

    @abstractmethod
    def predict(self, rows: pa.Table) -> Floats:
        """Return the mean to expect of each row, never below 0."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was learned, as JSON can hold it."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take over what `state` gave."""


def read_pace(rows: pa.Table, span: Span) -> Floats:
    """Return what each row brings if its present pace goes on: orders of the last year, fees that run."""
    yearly = sum((read(rows, name) for name in PACES[span.target]), np.zeros(rows.num_rows))
    return np.asarray(yearly * span.days / YEAR, dtype=float)


def read(rows: pa.Table, name: str, *, missing: float = 0.0) -> Floats:
    """Return a column as numbers, `missing` where it is empty."""
    return np.asarray(np.nan_to_num(numbers(name, column(rows, name)).astype(float), nan=missing))


@dataclass
class PaceByCell(Forecaster):
    """The present pace, times how much of it customers alike kept: alike in their silence, or in the age of contracts.

    Cells with few customers are drawn to all (credibility). Who has no pace gets the mean of their cell.
    """

    kind: ClassVar[str] = "pace"
    kept: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    def fit(self, rows: pa.Table, outcome: Floats, *, features: list[str], seed: int) -> Self:
        """Count, per cell, what came for each unit of pace."""
        del features, seed
        pace, cell = read_pace(rows, self.span), self._place(rows)
        size = len(SILENCES) + len(TENURES) + 3
        has_pace = pace > 0
        usual = float(pace[has_pace].mean()) if has_pace.any() else 0.0
        overall = float(outcome[has_pace].sum() / pace[has_pace].sum()) if usual else 0.0
        came, due = (np.bincount(cell[has_pace], each[has_pace], size) for each in (outcome, pace))
        weight = PRIOR * usual
        self.kept = ((came + overall * weight) / (due + weight)).tolist() if usual else [0.0] * size
        rest = ~has_pace
        mean = float(outcome[rest].mean()) if rest.any() else 0.0
        alone = np.bincount(cell[rest], outcome[rest], size)
        self.plain = ((alone + mean * PRIOR) / (np.bincount(cell[rest], minlength=size) + PRIOR)).tolist()
        return self

    def predict(self, rows: pa.Table) -> Floats:
        """Return the pace times what the row's cell keeps of it."""
        pace, cell = read_pace(rows, self.span), self._place(rows)
        found: Floats = np.where(pace > 0, pace * np.array(self.kept)[cell], np.array(self.plain)[cell])
        return found

    def state(self) -> dict[str, Any]:
        """Return the cells."""
        return {"kept": self.kept, "plain": self.plain}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take the cells over."""
        self.kept, self.plain = state["kept"], state["plain"]
        return self

    @staticmethod
    def _place(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.intp]]:
        silence = np.digitize(read(rows, "recency_days", missing=np.inf), SILENCES)
        silence[np.isinf(read(rows, "recency_days", missing=np.inf))] = len(SILENCES) + 1
        tenure = len(SILENCES) + 2 + np.digitize(read(rows, "days_since_first_contract"), TENURES)
        return np.where(read(rows, "yearly_fees") > 0, np.minimum(tenure, len(SILENCES) + len(TENURES) + 2), silence)


@dataclass
class BuyTillYouLeave(Forecaster):
    """BG/NBD with Gamma-Gamma for purchases; contracts last as long as their like did (exponential survival)."""

    kind: ClassVar[str] = "bg_nbd"
    buying: BuyAgain | None = None
    spend: Spend | None = None
    kept_fees: float = 1.0

    def fit(self, rows: pa.Table, outcome: Floats, *, features: list[str], seed: int) -> Self:
        """Learn rhythm and amounts from the newest snapshot, and the share of fees that went on from all."""
        del features, seed
        when = days(rows, "as_of")
        newest = rows.take(pa.array(np.flatnonzero(when == when.max())))
        bought = read(newest, "count_orders_total") > 0
        known = newest.filter(pa.array(bought))
        self.buying = BuyAgain.fit(*_read_history(known))
        self.spend = Spend.fit(read(known, "count_orders_365d"), _mean_amount(known))
        fees = read(rows, "yearly_fees") * self.span.days / YEAR
        if self.span.target == REVENUE and fees.sum():
            self.kept_fees = float(outcome[fees > 0].sum() / fees.sum())
        return self

    def predict(self, rows: pa.Table) -> Floats:
        """Return purchases, or what they and the fees bring."""
        bought = read(rows, "count_orders_total") > 0
        orders = np.zeros(rows.num_rows)
        if self.buying:
            orders[bought] = self.buying.expect(
                *_read_history(rows.filter(pa.array(bought))), weeks=self.span.days / WEEK
            )
        if self.span.target == ORDERS:
            return orders
        amount, count = _mean_amount(rows), read(rows, "count_orders_365d")
        each = self.spend.expect(count, amount) if self.spend else amount
        is_revenue = (read(rows, "yearly_purchases") > 0) | (count == 0)
        fees = read(rows, "yearly_fees") * self.span.days / YEAR
        found: Floats = np.where(fees > 0, self.kept_fees * fees, np.where(is_revenue, orders * each, 0.0))
        return found

    def state(self) -> dict[str, Any]:
        """Return the parameters."""
        parts = {"buying": self.buying, "spend": self.spend}
        return {name: asdict(part) if part else None for name, part in parts.items()} | {"kept_fees": self.kept_fees}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take the parameters over."""
        self.buying = BuyAgain(**state["buying"]) if state["buying"] else None
        self.spend = Spend(**state["spend"]) if state["spend"] else None
        self.kept_fees = state["kept_fees"]
        return self


def _read_history(rows: pa.Table) -> tuple[Floats, Floats, Floats]:
    """Return repeat purchases, the week of the last and the age in weeks, all since the first purchase."""
    age = read(rows, "days_since_first_order")
    last = np.maximum(age - read(rows, "recency_days"), 0.0)
    return read(rows, "count_orders_total") - 1, last / WEEK, np.maximum(age, 1.0) / WEEK


def _mean_amount(rows: pa.Table) -> Floats:
    orders = read(rows, "yearly_orders")
    found: Floats = np.where(orders > 0, read(rows, "yearly_purchases") / np.where(orders > 0, orders, 1.0), 0.0)
    return np.maximum(found, 0.0)


@dataclass
class BoostedTrees(Forecaster):
    """Gradient-boosted trees on all features, by the Tweedie deviance: a mean of many zeros and a long tail."""

    kind: ClassVar[str] = "trees"
    encoder: Encoder | None = None
    trees: Trees | None = None
    scale: float = 1.0

    def fit(self, rows: pa.Table, outcome: Floats, *, features: list[str], seed: int) -> Self:
        """Grow the trees on the features that say anything."""
        self._grow(rows, outcome, features=features, seed=seed, weight=None)
        return self

    def _grow(self, rows: pa.Table, label: Floats, *, features: list[str], seed: int, weight: Floats | None) -> None:
        names = [*features, *(name for names in PACES.values() for name in names)]
        rows, when = _name_month(rows), days(rows, "as_of")
        if (when.max() - when.min()).astype(int) >= YEAR:  # below, a month would stand for all that came with it
            names.append(MONTH)
        self.encoder = Encoder.learn(rows, list_informative(rows, names))
        self.scale = max(float(np.average(label, weights=weight)), 1e-9)
        self.trees = Trees(params=_TWEEDIE, rounds=_ROUNDS)
        scaled = np.maximum(label, 0.0) / self.scale
        weight = None if weight is None else weight / weight.mean()
        self.trees.fit(self.encoder.encode(rows), scaled, weight=weight, seed=seed, compute=Compute())

    def predict(self, rows: pa.Table) -> Floats:
        """Return the mean that the trees give."""
        if self.encoder is None or self.trees is None:
            raise ValueError("The trees have not been grown: call fit first.")
        found: Floats = np.exp(self.trees.log_odds(self.encoder.encode(_name_month(rows)))) * self.scale
        return found

    def state(self) -> dict[str, Any]:
        """Return encoder and trees."""
        if self.encoder is None or self.trees is None:
            raise ValueError("The trees have not been grown: call fit first.")
        return {"encoder": self.encoder.state(), "trees": self.trees.state(), "scale": self.scale}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take encoder and trees over."""
        self.encoder, self.trees = Encoder.restore(state["encoder"]), Trees.restore(state["trees"])
        self.scale = state["scale"]
        return self


def _name_month(rows: pa.Table) -> pa.Table:
    """Add the calendar month in which the span of each row begins."""
    month = days(rows, "as_of").astype("datetime64[M]").astype(int) % 12 + 1
    return rows.append_column(MONTH, pa.array(month))


@dataclass
class TreesOnPace(BoostedTrees):
    """Trees that say by how much to correct the pace of the cell: a fee that runs on needs no tree to be found."""

    kind: ClassVar[str] = "trees_on_pace"
    pace: PaceByCell | None = None

    @classmethod
    def applies(cls, rows: pa.Table) -> bool:
        """Return whether anybody pays a fee; a pace of orders alone is no better a start than none."""
        return bool(read(rows, "yearly_fees").any())

    def fit(self, rows: pa.Table, outcome: Floats, *, features: list[str], seed: int) -> Self:
        """Learn the pace, then the ratio of what came to it, weighted so that errors count in money."""
        self.pace = PaceByCell(self.span).fit(rows, outcome, features=features, seed=seed)
        base = self._base(rows)
        self._grow(rows, outcome / base, features=features, seed=seed, weight=base ** (2 - _POWER))
        return self

    def predict(self, rows: pa.Table) -> Floats:
        """Return the corrected pace."""
        found: Floats = super().predict(rows) * self._base(rows)
        return found

    def state(self) -> dict[str, Any]:
        """Return the trees and the pace."""
        return super().state() | {"pace": self.pace.state() if self.pace else None}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take trees and pace over."""
        self.pace = PaceByCell(self.span).restore(state["pace"])
        return super().restore(state)

    def _base(self, rows: pa.Table) -> Floats:
        if self.pace is None:
            raise ValueError("The pace has not been learned: call fit first.")
        return np.maximum(self.pace.predict(rows), _LEAST)


_ROUNDS = 70
_POWER = 1.3  # of the variance: between counts, 1, and amounts, 2
_LEAST = 0.01  # of an order or of the currency: what the pace of nobody falls below
_TWEEDIE = {
    "objective": "reg:tweedie",
    "tweedie_variance_power": _POWER,
    "learning_rate": 0.1,
    "max_depth": 3,
    "min_child_weight": 10.0,
    "subsample": 0.7,
    "colsample_bytree": 0.3,
    "reg_lambda": 10.0,
}
FORECASTERS: tuple[type[Forecaster], ...] = (PaceByCell, BuyTillYouLeave, BoostedTrees, TreesOnPace)
