"""Frames of this package as Arrow tables, each by a schema of its own: without rows they have the same columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, Date, Double, Integer, String, Table, Text

from retention.store.tables import ALERTS, INCIDENTS, LANE_NIGHTS, LEDGER, PLAN_PRICES, PLAN_ROWS, Moment

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TEXT, FIGURE, COUNT, DAY, MOMENT, YES = "string", "double", "int64", "date32", "timestamp[us]", "bool"
_STORED = {
    Moment: MOMENT, Date: DAY, Double: FIGURE, Boolean: YES, Integer: COUNT, BigInteger: COUNT, String: TEXT, Text: TEXT
}  # fmt: skip
Schema = Mapping[str, str]


def _of(table: Table, **own: str) -> Schema:
    """Return the types of a stored table's columns, and of those that the frame has beyond them."""
    return {column.name: _STORED[type(column.type)] for column in table.columns} | own


def _all(kind: str, *names: str) -> Schema:
    return dict.fromkeys(names, kind)


PLAN, PRICES, LEDGER_ENTRIES = _of(PLAN_ROWS), _of(PLAN_PRICES), _of(LEDGER)
RAISED = _of(ALERTS, respond_within_hours=FIGURE)
ANSWERS = _of(ALERTS, answered_at=MOMENT, is_missed=YES, is_folded=YES)
ALL_INCIDENTS, NIGHTS = _of(INCIDENTS), _of(LANE_NIGHTS)
EFFECTS = {
    **_all(TEXT, "strategy_id", "effect_group", "basis", "source"),
    **_all(COUNT, "count_treated", "count_untreated"),
    **_all(FIGURE, "effect", "low", "high", "raw_effect", "harm", "group_effect", "group_low", "group_high"),
    **_all(FIGURE, "group_harm", "level", "level_low", "level_high", "level_harm"),
    "is_used": YES, "as_of": DAY,
}  # fmt: skip
TEST_NEXT = {
    **_all(TEXT, "strategy_id", "text_en", "text_zh"), **_all(COUNT, "rank", "count_customers"),
    "value_of_information": FIGURE, "as_of": DAY,
}  # fmt: skip
STRATEGY_EFFECTS = {
    **_all(TEXT, "strategy_id", "period", "verdict", "because"),
    **_all(DAY, "looked_on", "verdict_expected_on", "decided_on"),
    **_all(COUNT, "look", "n_treated", "n_holdout", "n_immature", "needed_treated", "needed_holdout"),
    **_all(FIGURE, "retention_treated", "retention_holdout", "difference", "difference_low", "difference_high"),
    **_all(FIGURE, "band_low", "band_high", "unadjusted", "unadjusted_low", "unadjusted_high", "variance_explained"),
    **_all(FIGURE, "share_of_information", "amount_difference", "amount_low", "amount_high", "unadjusted_amount"),
    **_all(FIGURE, "unadjusted_amount_low", "unadjusted_amount_high", "cost_per_treated"),
    **_all(YES, "is_latest", "is_below_floor"),
}
VERSION_EFFECTS = {**STRATEGY_EFFECTS, **_all(TEXT, "version", "against")}
GUARDRAILS = {
    **_all(TEXT, "strategy_id", "guardrail"), **_all(COUNT, "n_treated", "n_holdout"),
    **_all(FIGURE, "treated", "holdout", "difference", "difference_low", "difference_high", "allowed"),
    "is_broken": YES,
}  # fmt: skip


def to_arrow(frame: "pd.DataFrame", schema: Schema) -> "pa.Table":
    """Return a frame as an Arrow table with the types of `schema`; moments become UTC without a zone.

    Raises ValueError, which names them, for columns that the schema does not have.
    """
    import pyarrow as pa

    unknown = [str(name) for name in frame if name not in schema]
    if unknown:
        raise ValueError(f"The schema has no {', '.join(unknown)}; add their types in retention/store/frames.py.")
    return pa.table({str(name): _type(frame[name], schema[str(name)]) for name in frame})


def _type(values: "pd.Series[Any]", kind: str) -> "pa.Array":
    import pandas as pd
    import pyarrow as pa

    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if kind == DAY:
        values = pd.to_datetime(values).dt.date
    return pa.Array.from_pandas(values, type=pa.type_for_alias(kind))
