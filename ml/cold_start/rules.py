"""The score below the sample floor: written rules with weights from the policy, and how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml.dataset import Floats, Tabular, as_table, column
from ml.encode import numbers

SCHEMA = pa.schema(
    [("customer_id", pa.string()), ("score", pa.float64()), ("confidence", pa.float64()), ("missing", pa.string())]
)


@dataclass(frozen=True)
class Signal:
    """A warning sign: it shows when `feature` is at least `at_least`, or at most `at_most`, and weighs `weight`."""

    name: str
    feature: str
    weight: float
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        """Refuse a signal without exactly one bound, or without weight."""
        if (self.at_least is None) == (self.at_most is None) or self.weight <= 0:
            raise ValueError(
                f"signal {self.name!r} needs either at_least or at_most, and a weight above 0. Fix it in the policy."
            )


def score_by_rules(table: Tabular, signals: Sequence[Signal]) -> pa.Table:
    """Score each customer 0 to 100 by the weight of the signals that show, among those that are known; see `SCHEMA`.

    This is an order of attention, not a probability. `confidence` is the share of all weight that is known for the
    customer, `missing` names the signals that are not; where none is known the score is null.
    """
    data = as_table(table)
    weights = np.array([signal.weight for signal in signals])
    shows = np.column_stack([_shows(data, signal) for signal in signals])
    known = ~np.isnan(shows)
    heard = known @ weights
    raised = np.nan_to_num(shows) @ weights
    score = np.divide(100 * raised, heard, out=np.full(len(heard), np.nan), where=heard > 0)
    names = np.array([signal.name for signal in signals])
    return pa.table(
        [
            column(data, "customer_id").cast(pa.string()).combine_chunks(),
            pa.array(score, from_pandas=True),
            pa.array(heard / weights.sum()),
            pa.array([", ".join(names[~row]) for row in known], pa.string()),
        ],
        schema=SCHEMA,
    )


def _shows(data: pa.Table, signal: Signal) -> Floats:
    """Return 1 where the signal shows, 0 where it does not, NaN where it is not known."""
    if signal.feature not in data.column_names:
        return np.full(data.num_rows, np.nan)
    values = numbers(signal.feature, data.column(signal.feature))
    low = -np.inf if signal.at_least is None else signal.at_least
    high = np.inf if signal.at_most is None else signal.at_most
    shown = (values >= low) & (values <= high)
    return np.where(np.isnan(values), np.nan, shown.astype(float))
