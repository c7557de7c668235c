"""Tables for learning: what a feature is, how a table becomes columns, and how time splits it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.intp]
Tabular: TypeAlias = pa.Table | pd.DataFrame


class DatasetError(ValueError):
    """A table cannot be learned from or scored; the message names the column and the fix."""


@dataclass(frozen=True)
class Feature:
    """One column a model reads, with its words.

    `reason` is a code of the reason taxonomy. `en` and `zh` are format strings with `{value}` for the
    customer's own figure; they may also name other features of the table, as in
    "no purchase for {value:.0f} days, usually every {days_between_orders:.0f}".
    """

    name: str
    family: str
    unit: str
    reason: str
    en: str
    zh: str


@dataclass(frozen=True)
class Columns:
    """What the columns of a training table mean.

    Args:
        label: whether the customer left: boolean, or 0 and 1; null where it is not known yet, and not learned from.
        time: the snapshot that a row belongs to, where the table stacks several; without it folds are drawn by chance.
        features: what a model may read; by default every column without another meaning.
        causes: those of the features that show why a customer leaves, see `ml.explaining.causes`.
        customer: rows of one customer never straddle a split by chance.
        weight: how many customers a row stands for; learning, calibration and figures follow it.
        treated: boolean: the customer was treated between `as_of` and the end of the label window; null is untreated.
        group: the group of customers that may get a model of its own.
        lead_times: per further lead time in days its label column, null where it has not matured.
    """

    label: str
    time: str | None = None
    features: Sequence[str] | None = None
    causes: Sequence[str] = ()
    customer: str | None = None
    weight: str | None = None
    treated: str | None = None
    group: str | None = None
    lead_times: Mapping[int, str] = field(default_factory=dict)

    def list_features(self, table: pa.Table) -> tuple[str, ...]:
        """Return the names of the features."""
        if self.features is not None:
            return tuple(self.features)
        single = (self.label, self.time, self.customer, self.weight, self.treated, self.group)
        other = {*single, *self.lead_times.values()}
        return tuple(name for name in table.column_names if name not in other)


@dataclass(frozen=True)
class Fold:
    """Row numbers of one split: nothing in `validate` is known when `train` is learned."""

    train: Rows
    validate: Rows


def as_table(data: Tabular) -> pa.Table:
    """Return `data` as an Arrow table; a data frame loses its index."""
    return data if isinstance(data, pa.Table) else pa.Table.from_pandas(data, preserve_index=False)


def column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return one column, or raise a `DatasetError` that names it."""
    place = table.schema.get_field_index(name)  # quicker than to look among the names
    if place < 0:
        raise DatasetError(
            f"column {name!r} is missing from a table of {table.num_rows} rows; its columns are "
            f"{', '.join(sorted(table.column_names))}. Build the feature table with it, or train again without it."
        )
    return table.column(place)


def labels(table: pa.Table, label: str) -> npt.NDArray[np.float64]:
    """Return the label as 0.0, 1.0, or NaN where it is not known yet."""
    values = column(table, label)
    try:
        found: npt.NDArray[np.float64] = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False).astype(float)
    except pa.ArrowInvalid as error:
        raise DatasetError(
            f"label {label!r} has type {values.type}; it must be boolean, or a number 0 or 1. Cast it first."
        ) from error
    if not np.isin(found[~np.isnan(found)], (0.0, 1.0)).all():
        raise DatasetError(f"label {label!r} has values other than 0 and 1. Recode it before training.")
    return found


def days(table: pa.Table, time: str) -> npt.NDArray[Any]:
    """Return the time column as numpy days."""
    values = column(table, time)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = pc.cast(values, pa.date32())
    found: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False).astype("datetime64[D]")
    return found


def split_by_time(table: pa.Table, time: str, *, folds: int = 3, maturity_days: int = 0) -> tuple[Fold, ...]:
    """Roll the origin over the last `folds` snapshots of a stacked table.

    Each of them validates once, on a model that learned only from snapshots whose label window had closed by
    then: `snapshot + maturity_days <= validation snapshot`, with `maturity_days` = lead + horizon in days.
    Folds without an earlier mature snapshot are left out; none at all raises a `DatasetError`.
    """
    when = days(table, time)
    snapshots = np.unique(when)
    gap = np.timedelta64(maturity_days, "D")
    found = tuple(
        Fold(np.flatnonzero((when < last) & (when + gap <= last)), np.flatnonzero(when == last))
        for last in snapshots[-folds:]
        if ((snapshots < last) & (snapshots + gap <= last)).any()
    )
    if not found:
        raise DatasetError(
            f"column {time!r} holds {len(snapshots)} snapshot(s), too few to train on one and validate on a later one "
            f"whose predecessor's labels have matured ({maturity_days} days). Add earlier snapshots."
        )
    return found


def split_by_chance(
    label: Floats, *, folds: int = 5, seed: int = 0, group: npt.NDArray[Any] | None = None
) -> tuple[Fold, ...]:
    """Stratified folds for a table without time; rows of one `group` never straddle a split."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    splitter = StratifiedKFold if group is None else StratifiedGroupKFold
    parts = splitter(n_splits=folds, shuffle=True, random_state=seed).split(np.zeros(len(label)), label, group)
    return tuple(Fold(train, validate) for train, validate in parts)


def month_starts(first: date, last: date) -> Iterator[date]:
    """Yield the first days of the months from `first` to `last`, both inclusive."""
    month = first.replace(day=1)
    while month <= last:
        if month >= first:
            yield month
        month = (month + timedelta(days=32)).replace(day=1)


def list_informative(table: pa.Table, names: Sequence[str]) -> list[str]:
    """Return the columns among `names` that hold more than one value, missing being a value of its own."""
    return [name for name in names if len(pc.unique(column(table, name))) > 1]
