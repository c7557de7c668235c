"""Frames of this package as Arrow tables whose types do not depend on what happens to be in them."""

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Boolean, Date, Double, Integer, String, Text

from retention.store.tables import METADATA, Moment

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_NUMBERS = frozenset({"respond_within_hours"})


def to_arrow(frame: "pd.DataFrame") -> "pa.Table":
    """Return a plan, alerts, ledger, outbox or effects frame as an Arrow table.

    A column is typed by its name, as in the operational store, so that a day on which nobody was treated makes the same
    columns as any other; moments become UTC without a zone, as the warehouse keeps them. A column the store does not
    know keeps the type that its values have, and is text where it has none.
    """
    import pandas as pd
    import pyarrow as pa

    known = _types()
    columns = {}
    for name in frame:
        values = frame[name]
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        if known.get(str(name)) == pa.date32():
            values = pd.to_datetime(values).dt.date
        kind = known.get(str(name))
        if kind == pa.string() and pd.api.types.is_numeric_dtype(values.dtype) and values.notna().any():
            kind = None  # a number that bears the name of a text of the store
        column = pa.Array.from_pandas(values, type=kind)
        columns[str(name)] = column.cast(pa.string()) if pa.types.is_null(column.type) else column
    return pa.table(columns)


def _types() -> "dict[str, pa.DataType]":
    import pyarrow as pa

    arrow = {
        Moment: pa.timestamp("us"), Date: pa.date32(), Double: pa.float64(), Integer: pa.int64(),
        BigInteger: pa.int64(), Boolean: pa.bool_(), String: pa.string(), Text: pa.string(),
    }  # fmt: skip
    types = {column.name: arrow[type(column.type)] for table in METADATA.sorted_tables for column in table.columns}
    days: dict[str, pa.DataType] = dict.fromkeys(_EFFECT_DAYS, pa.date32())
    answers = {"answered_at": arrow[Moment], "is_missed": pa.bool_(), "is_folded": pa.bool_()}
    return types | days | answers | dict.fromkeys((*_NUMBERS, *_EFFECTS), pa.float64())


_EFFECTS = (
    "retention_treated", "retention_holdout", "difference", "difference_low", "difference_high", "band_low",
    "band_high", "unadjusted", "unadjusted_low", "unadjusted_high", "variance_explained", "share_of_information",
    "amount_difference", "amount_low", "amount_high", "unadjusted_amount", "unadjusted_amount_low",
    "unadjusted_amount_high",
    "cost_per_treated",
)  # fmt: skip
_EFFECT_DAYS = ("looked_on", "verdict_expected_on", "decided_on")
