"""Warnings further ahead: one training run, one model per lead time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from ml.dataset import DatasetError, Tabular, as_table, column
from ml.training.pipeline import ChurnModel, Model
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
class Leads:
    """Per lead time in days what training found; `unknown` gives the reason of lead times without a model."""

    fitted: Mapping[int, Fitted]
    unknown: Mapping[int, str]


def fit_leads(
    table: Tabular,
    labels: Mapping[int, str],
    time: str,
    *,
    horizon_days: int,
    first: Fitted | None = None,
    **given: Any,  # noqa: ANN401 - as fit has them
) -> Leads:
    """Train one model per lead time on the same snapshots.

    `labels` names for each lead (days between `as_of` and the first day on which leaving counts) the label column,
    null where it has not matured; a column may serve one lead only. Snapshots mature lead + `horizon_days` later, and
    the split by time keeps that distance. The shortest lead is fitted in full (or given as `first`), the others take
    over its settings and learn their own trees, shares and calibration. `given` are other arguments of `fit`; pass
    `features`, or the labels of other leads would be learned from.
    """
    if "features" not in given:
        raise DatasetError("fit_leads needs `features`: without them the label of one lead would predict another's.")
    found: dict[int, Fitted] = {}
    unknown: dict[int, str] = {}
    for lead in sorted(labels):
        settled = _settled(found[min(found)]) if found else {}
        try:
            found[lead] = (
                first
                if first is not None and not found and not unknown
                else fit(table, labels[lead], time, maturity_days=lead + horizon_days, **{**given, **settled})
            )
        except DatasetError as error:
            unknown[lead] = str(error)
    return Leads(found, unknown)


def score_leads(
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


def _settled(fitted: Fitted) -> dict[str, Any]:
    """Return the arguments that make `fit` use the settings found before and try no other."""
    used = sorted(fitted.model.weights) if isinstance(fitted.model, ChurnModel) else sorted(fitted.recipes)
    return {"candidates": used, "recipes": {name: (fitted.recipes[name],) for name in used}}
