"""Scores: one row per customer, 0 to 100."""

from datetime import date

import numpy as np
import pyarrow as pa

from ml.dataset import Tabular, as_table, column
from ml.training.pipeline import Model

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of", pa.date32()),
        ("horizon_days", pa.int32()),
        ("probability", pa.float64()),
        ("score", pa.float64()),
        ("model_version", pa.string()),
    ]
)


def score(model: Model, table: Tabular, *, as_of: date, horizon_days: int, model_version: str) -> pa.Table:
    """Score each row of `table` (with `customer_id` and the model's features); see `SCHEMA`.

    `probability` is the calibrated probability of churn within the horizon, `score` is 100 times it.
    """
    data = as_table(table)
    probability = model.predict(data)
    rows = data.num_rows
    return pa.table(
        [
            column(data, "customer_id").cast(pa.string()).combine_chunks(),
            pa.array(np.full(rows, np.datetime64(as_of, "D")), pa.date32()),
            pa.array(np.full(rows, horizon_days, dtype=np.int32)),
            pa.array(probability),
            pa.array(100 * probability),
            pa.repeat(model_version, rows),
        ],
        schema=SCHEMA,
    )
