"""The score below the sample floor: written rules with weights from the policy, and how far to trust them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from company.policy.training import RiskSignal
from ml.dataset import Floats, Tabular, as_table, column
from ml.encode import numbers

SCHEMA = pa.schema(
    [("customer_id", pa.string()), ("score", pa.float64()), ("confidence", pa.float64()), ("missing", pa.string())]
)


def score_by_rules(table: Tabular, signals: Sequence[RiskSignal]) -> pa.Table:
    """Score each customer 0 to 100 by the weight of the signals that show, among those that are known; see `SCHEMA`.

    This is an order of attention, not a probability. `confidence` is the share of all weight that is known for the
    customer, `missing` names the signals that are not; where none is known the score is null.
    """
    data = as_table(table)
    weights = np.array([signal.weight for signal in signals])
    shows = find_signals(data, signals)
    known = ~np.isnan(shows)
    known_weight = known @ weights
    shown_weight = np.nan_to_num(shows) @ weights
    score = np.divide(100 * shown_weight, known_weight, out=np.full(len(known_weight), np.nan), where=known_weight > 0)
    names = np.array([signal.en for signal in signals])
    return pa.table(
        [
            column(data, "customer_id").cast(pa.string()).combine_chunks(),
            pa.array(score, from_pandas=True),
            pa.array(known_weight / weights.sum()),
            pa.array([", ".join(names[~row]) for row in known], pa.string()),
        ],
        schema=SCHEMA,
    )


def raise_by_rules(table: Tabular, signals: Sequence[RiskSignal]) -> Floats:
    """Return the weight of the signals that show for each customer (n); what is not known does not show."""
    data = as_table(table)
    raised: Floats = np.nan_to_num(find_signals(data, signals)) @ np.array([signal.weight for signal in signals])
    return raised


def find_signals(data: pa.Table, signals: Sequence[RiskSignal]) -> Floats:
    """Return 1 where a signal (columns) shows for a customer (rows), 0 where it does not, NaN where it is not known."""
    return np.column_stack([_shows(data, signal) for signal in signals])


def _shows(data: pa.Table, signal: RiskSignal) -> Floats:
    """Return 1 where the signal shows, 0 where it does not, NaN where it is not known."""
    if signal.feature not in data.column_names:
        return np.full(data.num_rows, np.nan)
    values = numbers(signal.feature, data.column(signal.feature))
    low = -np.inf if signal.at_least is None else signal.at_least
    high = np.inf if signal.at_most is None else signal.at_most
    shown = (values >= low) & (values <= high)
    return np.where(np.isnan(values), np.nan, shown.astype(float))
