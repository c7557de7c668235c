"""Why a customer's score is what it is: the strongest reasons, in words, with the customer's own figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import DatasetError, Feature, Floats, Rows, Tabular, as_table, column
from ml.training.pipeline import Model

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of", pa.date32()),
        ("rank", pa.int32()),
        ("reason", pa.string()),
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("contribution", pa.float64()),
        ("text_en", pa.string()),
        ("text_zh", pa.string()),
    ]
)
CHUNK = 50_000  # customers explained at once
EXACT = 20_000  # customers up to whom Shapley values are worked out: minutes, beyond hours


def explain(
    model: Model,
    table: Tabular,
    features: Sequence[Feature],
    *,
    as_of: date | datetime,
    top: int = 3,
    exact: bool | None = None,
) -> pa.Table:
    """Return up to `top` reasons per customer, the strongest first; see `SCHEMA`.

    A feature's evidence is its contribution to the log-odds and, where it is one of a cause, what it adds by itself
    (`ml.explaining.causes`). Evidence is summed by the features' `reason`, and reasons rank by that sum. A reason is
    given where at least one of its features raises the risk, also when its others lower it; a customer without any has
    no row. What is missing supports no reason: that nothing is on record is not why somebody leaves.
    `contribution` is the reason's part of the log-odds; `feature`, `value` and the sentences are those of its feature
    with the most evidence, `value` is null for text. Contributions are `exact` Shapley values for up to `EXACT`
    customers, and beyond follow each customer's path through the trees, unless `exact` says otherwise.
    """
    data = as_table(table)
    shapley = data.num_rows <= EXACT if exact is None else exact
    words = _words(model, features)
    reasons = _Reasons.of([words[name].reason for name in model.features])
    chunks = (data.slice(start, CHUNK) for start in range(0, data.num_rows, CHUNK))
    parts = [_explain(model, each, words, reasons, top=top, exact=shapley) for each in chunks]
    found = pa.concat_tables([SCHEMA.remove(1).empty_table(), *parts])
    day = as_of.date() if isinstance(as_of, datetime) else as_of
    return found.add_column(1, SCHEMA.field("as_of"), pa.repeat(pa.scalar(day, pa.date32()), found.num_rows))


@dataclass(frozen=True)
class _Reasons:
    """The reasons in order of first use, and for each the positions of its features."""

    names: tuple[str, ...]
    members: tuple[npt.NDArray[np.intp], ...]

    @classmethod
    def of(cls, reason_of_feature: Sequence[str]) -> "_Reasons":
        names = tuple(dict.fromkeys(reason_of_feature))
        given = np.array(reason_of_feature)
        return cls(names, tuple(np.flatnonzero(given == name) for name in names))

    def sum(self, values: Floats) -> Floats:
        """Return the sums of `values` (rows x features) by reason."""
        return np.column_stack([values[:, members].sum(axis=1) for members in self.members])


def _words(model: Model, features: Sequence[Feature]) -> dict[str, Feature]:
    words = {feature.name: feature for feature in features}
    wordless = [name for name in model.features if name not in words]
    if wordless:
        raise DatasetError(
            f"the model reads {', '.join(wordless)}, for which no words are given. Add reason, en and zh to the "
            "column's description in the feature table."
        )
    return words


def _explain(
    model: Model, data: pa.Table, words: dict[str, Feature], reasons: _Reasons, *, top: int, exact: bool
) -> pa.Table:
    values, _ = model.contributions(data, exact=exact)
    missing = _missing(data, model.features)
    values = np.where(missing, 0.0, values)
    evidence = values + np.where(missing, 0.0, model.cause_contributions(data))
    strongest = np.column_stack([members[evidence[:, members].argmax(axis=1)] for members in reasons.members])
    raises = np.take_along_axis(evidence, strongest, axis=1) > 0
    order = np.lexsort((-reasons.sum(evidence), ~raises), axis=1)[:, :top]
    contribution = np.take_along_axis(reasons.sum(values), order, axis=1)
    rows, ranks = np.nonzero(np.take_along_axis(raises, order, axis=1))
    reason = order[rows, ranks]
    feature = strongest[rows, reason]
    value, en, zh = _describe(data, words, model.features, rows, feature)
    return pa.table(
        [
            column(data, "customer_id").cast(pa.string()).combine_chunks().take(pa.array(rows)),
            pa.array(ranks + 1, pa.int32()),
            pa.array(np.array(reasons.names, dtype=object)[reason], pa.string()),
            pa.array(np.array(model.features, dtype=object)[feature], pa.string()),
            pa.array(value, from_pandas=True),
            pa.array(contribution[rows, ranks]),
            pa.array(en, pa.string()),
            pa.array(zh, pa.string()),
        ],
        schema=SCHEMA.remove(1),
    )


def _missing(data: pa.Table, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return for each customer (rows) and feature (columns) whether it is null or not a number."""
    absent = [pc.is_null(column(data, name), nan_is_null=True) for name in names]
    return np.column_stack([each.to_numpy(zero_copy_only=False) for each in absent])


def _describe(
    data: pa.Table, words: dict[str, Feature], names: Sequence[str], rows: Rows, feature: Rows
) -> tuple[Floats, npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the figure and the two sentences for each (row, feature)."""
    value = np.full(len(rows), np.nan)
    en, zh = np.empty(len(rows), dtype=object), np.empty(len(rows), dtype=object)
    for position in np.unique(feature):
        mine = np.flatnonzero(feature == position)
        shown = words[names[position]]
        own = data.column(shown.name).take(pa.array(rows[mine]))
        value[mine] = _figures(own)
        en[mine] = _sentences(shown, shown.en, "no record: {}", data, rows[mine])
        zh[mine] = _sentences(shown, shown.zh, "无记录:{}", data, rows[mine])
    return value, en, zh


def _figures(values: pa.ChunkedArray) -> Floats:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return np.full(len(values), np.nan)
    found: Floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _sentences(feature: Feature, template: str, missing: str, data: pa.Table, rows: Rows) -> list[str]:
    fields = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    columns = {
        field: column(data, feature.name if field == "value" else field).take(pa.array(rows)).to_pylist()
        for field in dict.fromkeys(fields)
    }
    absent = missing.format(feature.name.replace("_", " "))
    known = [_known(each) for each in zip(*columns.values(), strict=True)] if columns else [True] * len(rows)
    return [
        template.format(**{name: values[row] for name, values in columns.items()}) if known[row] else absent
        for row in range(len(rows))
    ]


def _known(figures: Sequence[Any]) -> bool:
    return all(figure is not None and figure == figure for figure in figures)  # noqa: PLR0124  (NaN is not itself)
