"""Warnings further ahead: one training run, one model per lead time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa

from ml.dataset import Columns, DatasetError, Tabular, as_table, column
from ml.training.config import TrainConfig
from ml.training.pipeline import Model
from ml.training.train import Fitted, fit

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of", pa.date32()),
        ("lead_days", pa.int32()),
        ("horizon_days", pa.int32()),
        ("probability", pa.float64()),
        ("score", pa.float64()),
    ]
)


@dataclass(frozen=True)
class LeadTimes:
    """Per lead time in days what training found; `unknown` gives the reason of lead times without a model."""

    fitted: Mapping[int, Fitted]
    unknown: Mapping[int, str]


def fit_lead_times(table: Tabular, columns: Columns, config: TrainConfig, *, first: Fitted | None = None) -> LeadTimes:
    """Train one model per lead time on the same snapshots: that of `config`, and those of `columns.lead_times`.

    A lead time is the days between `as_of` and the first day on which leaving counts; each has its own label column.
    Snapshots mature lead + horizon days later, and the split by time keeps that distance. The shortest lead time is
    fitted in full (or given as `first`), the others take over its hyperparameters and learn their own trees, shares
    and calibration.
    """
    labels = {config.lead_days: columns.label, **columns.lead_times}
    plain = replace(columns, features=columns.list_features(as_table(table)), causes=())
    fitted: dict[int, Fitted] = {}
    unknown: dict[int, str] = {}
    for lead in sorted(labels):
        if first is not None and not fitted and not unknown:
            fitted[lead] = first
            continue
        used = fitted[min(fitted)].used if fitted else None
        own = replace(plain, label=labels[lead]), replace(config, lead_days=lead)
        try:
            fitted[lead] = fit(table, *own, candidates=used)
        except DatasetError as error:
            unknown[lead] = str(error)
    return LeadTimes(fitted, unknown)


def score_lead_times(
    models: Mapping[int, Model],
    table: Tabular,
    *,
    as_of: date,
    horizon_days: int,
    customers: Sequence[str] | None = None,
) -> pa.Table:
    """Score each row of `table` once per lead time; see `SCHEMA`."""
    data = as_table(table)
    names = pa.array(customers) if customers is not None else column(data, "customer_id").combine_chunks()
    parts = [SCHEMA.empty_table()]
    for lead, model in sorted(models.items()):
        probability = model.predict(data)
        rows = len(probability)
        parts.append(
            pa.table(
                [
                    names.cast(pa.string()),
                    pa.array(np.full(rows, np.datetime64(as_of, "D")), pa.date32()),
                    pa.array(np.full(rows, lead, dtype=np.int32)),
                    pa.array(np.full(rows, horizon_days, dtype=np.int32)),
                    pa.array(probability),
                    pa.array(100 * probability),
                ],
                schema=SCHEMA,
            )
        )
    return pa.concat_tables(parts)
