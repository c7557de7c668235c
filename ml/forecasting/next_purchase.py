"""When a customer buys next: their usual gap, times what customers as silent as they, against their own gap, took.

Learned from snapshots of which the following days are known; said only of who is likelier than not to buy within them.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Floats, days
from ml.encode import numbers

SPAN_DAYS = 91
COVERAGE = 0.8
LIKELY = 0.5  # chance to buy within the span, from which on a date is given
SILENCES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.94, 0.97)  # where cells divide silence over the usual gap
RHYTHMS = 5  # cells by the gap
FEWEST = 30  # in a cell; below, the chance is that of all alike in silence, and the waits those of all who bought
FEWEST_CUSTOMERS = 50
Cells = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Waits:
    """Per cell of silence and rhythm: how many bought within the span, and when, in multiples of their usual gap."""

    silences: Floats
    rhythms: Floats
    chance: Floats
    low: Floats
    middle: Floats
    high: Floats

    @classmethod
    def learn(cls, recency: Floats, gap: Floats, wait: Floats) -> Self:
        """Learn from rows whose whole span is known; `wait` is NaN for who did not buy within it."""
        gap = np.maximum(gap, 1.0)
        silences = np.quantile(recency / gap, SILENCES)
        rhythms = np.quantile(gap, np.arange(1, RHYTHMS) / RHYTHMS)
        cell, bought = _place(recency, gap, silences, rhythms), ~np.isnan(wait)
        shares = ((1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2)
        multiple = np.where(bought, wait / gap, 0.0)
        found = np.empty(((len(SILENCES) + 1) * RHYTHMS, 4))
        for number in range(len(found)):
            mine, alike = cell == number, cell // RHYTHMS == number // RHYTHMS
            seen = next(each for each in (mine, alike, alike | True) if np.count_nonzero(each) >= FEWEST)
            its = mine & bought if np.count_nonzero(mine & bought) >= FEWEST else bought
            found[number, 0] = bought[seen].mean()
            found[number, 1:] = np.quantile(multiple[its], shares) if its.any() else np.nan
        return cls(silences, rhythms, *found.T)

    def predict(self, recency: Floats, gap: Floats) -> dict[str, Floats]:
        """Return the chance to buy within the span, and the days until then: middle, low and high."""
        gap = np.maximum(gap, 1.0)
        cell = _place(recency, gap, self.silences, self.rhythms)
        waits = {"low": np.floor(self.low[cell] * gap), "high": np.ceil(self.high[cell] * gap)}
        return {
            "chance": self.chance[cell],
            "middle": np.round(self.middle[cell] * gap),
            **waits,
        }


def _place(recency: Floats, gap: Floats, silences: Floats, rhythms: Floats) -> Cells:
    return np.asarray(np.digitize(recency / gap, silences) * RHYTHMS + np.digitize(gap, rhythms), dtype=np.intp)


def learn_waits(rows: pa.Table, *, until: date) -> Waits | None:
    """Learn from snapshots whose span had ended by `until`; None where too few customers were seen in one.

    `rows` have as_of, customer_id, recency_days, median_gap_days, known_until and next_order_date.
    """
    when, ends = days(rows, "as_of"), np.minimum(days(rows, "known_until"), np.datetime64(until, "D"))
    recency, gap = (numbers(name, rows.column(name)).astype(float) for name in ("recency_days", "median_gap_days"))
    is_known = (when + np.timedelta64(SPAN_DAYS, "D") <= ends) & ~np.isnan(gap) & ~np.isnan(recency)
    if np.count_nonzero(is_known) < FEWEST_CUSTOMERS:
        return None
    ordered = rows.column("next_order_date").to_numpy(zero_copy_only=False).astype("datetime64[D]")
    wait = np.where(np.isnat(ordered), np.nan, (ordered - when).astype("timedelta64[D]").astype(float))
    wait[wait >= SPAN_DAYS] = np.nan
    return Waits.learn(recency[is_known], gap[is_known], wait[is_known])


SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("customer_id", pa.string()),
        ("order_chance_3m", pa.float64()),
        ("next_order_date", pa.date32()),
        ("next_order_from", pa.date32()),
        ("next_order_until", pa.date32()),
        ("usual_category", pa.string()),
        ("suggested_category", pa.string()),
        ("because_category", pa.string()),
        ("cross_sell_potential", pa.float64()),
    ]
)


def forecast_purchases(waits: Waits | None, rows: pa.Table, *, as_of: date) -> pa.Table:
    """Return a row per customer (`SCHEMA`); the date is empty for who rather does not buy within the span.

    Of who bought once no rhythm is known, and without `waits` of nobody: what is bought stays.
    """
    recency, gap = (numbers(name, rows.column(name)).astype(float) for name in ("recency_days", "median_gap_days"))
    known = ~np.isnan(gap) & ~np.isnan(recency)
    columns: dict[str, Any] = {name: [None] * rows.num_rows for name in SCHEMA.names}
    if waits is not None:
        found = waits.predict(np.nan_to_num(recency), np.nan_to_num(gap, nan=1.0))
        likely = known & (found["chance"] >= LIKELY)
        columns["order_chance_3m"] = pa.array(found["chance"], mask=~known)
        first = np.datetime64(as_of, "D")
        for name, part in (("date", "middle"), ("from", "low"), ("until", "high")):
            day = first + np.nan_to_num(found[part]).astype("timedelta64[D]")
            columns[f"next_order_{name}"] = pa.array(day, mask=~(likely & ~np.isnan(found[part])))
    for name in ("customer_id", "usual_category", "suggested_category", "because_category", "cross_sell_potential"):
        columns[name] = rows.column(name)
    columns["as_of"] = [as_of] * rows.num_rows
    return pa.table({name: _typed(columns[name], kind) for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)})


def _typed(values: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 - an array, a chunked array or a list
    return pa.array(values, kind) if isinstance(values, list) else pc.cast(values, kind)
