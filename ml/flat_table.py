"""A company whose only data is one flat table: a customer per row, attributes, and whether the customer left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Columns, DatasetError, Floats, Rows, column
from ml.encode import is_text, numbers
from ml.explaining.attributes import Attribute, describe_attribute
from ml.explaining.contributions import EXACT, weigh_model
from ml.training.config import TrainConfig
from ml.training.leakage import require_no_leaks
from ml.training.monthly import Training, train
from ml.training.pipeline import Model

Kind = Literal["id", "label", "number", "text", "constant", "row number", "identifier", "date", "protected"]
KINDS_READ: frozenset[Kind] = frozenset({"number", "text"})
DISTINCT_SHARE = 0.5  # of the known values, from which on text names rows and not categories
FEWEST_DISTINCT = 50  # values below which text is never taken for an identifier
_NO_ATTRIBUTE = "a date is no attribute; give days until a common day instead"
_DATE = r"^(\d{4}[/.-]\d{1,2}[/.-]\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-](\d{4}|\d{2}))($|[ T])"
OUTCOMES: Mapping[str, bool] = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "t", "churned", "left"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f", "stayed", "active"), False),
}
SCORES = pa.schema(
    [
        ("customer_id", pa.string()),
        ("probability", pa.float64()),
        ("score", pa.float64()),
        ("churned", pa.bool_()),
        ("is_out_of_fold", pa.bool_()),
    ]
)
REASONS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("rank", pa.int32()),
        ("feature", pa.string()),
        ("value", pa.string()),
        ("fact", pa.string()),
        ("contribution", pa.float64()),
    ]
)
REASONS_EACH = 3


@dataclass(frozen=True)
class ColumnKind:
    """What a column was taken for, and the evidence; the model reads numbers and text."""

    name: str
    kind: Kind
    evidence: str

    @property
    def is_feature(self) -> bool:
        """Whether the model reads it."""
        return self.kind in KINDS_READ


@dataclass(frozen=True)
class FlatTable:
    """A flat table with typed columns, `customer_id` and `churned` among them, and what each column was taken for."""

    rows: pa.Table
    kinds: tuple[ColumnKind, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that the model reads."""
        return tuple(each.name for each in self.kinds if each.is_feature)


@dataclass(frozen=True)
class FlatScores:
    """What one flat table gave.

    `scores` has a row per customer, see `SCORES`: customers whose outcome is known have the probability of a model that
    had not learned from them (`is_out_of_fold`), the others that of the final one. `reasons` are facts about customers
    whose probability is above the share of all who left, see `REASONS`: the attributes that raise the risk most, of
    those in which customers like them left more often than all did.
    """

    training: Training
    scores: pa.Table
    reasons: pa.Table


def read_flat_table(
    table: pa.Table, *, customer: str, label: str, without: Sequence[str] = (), protected: Sequence[str] = ()
) -> FlatTable:
    """Guess what each column of `table` holds; text that is a number everywhere becomes one.

    `customer` names the column that identifies a customer, once each, and `label` the one that holds whether the
    customer left, null where it is not known; `without` names columns to leave out, and `protected` those
    that no model may read, such as gender, where the table has them. Raises a `DatasetError` that names
    the column, the row and the fix.
    """
    for name in (customer, label, *without):
        column(table, name)
    rows = table.drop_columns(list(without))
    clash = {"customer_id", "churned"} & set(rows.column_names) - {customer, label}
    if clash:
        name = min(clash)
        raise DatasetError(f"column {name!r} has a name that the result needs. Rename it, or leave it out.")
    typed = {name: _parse(rows.column(name)) for name in rows.column_names}
    typed[customer], typed[label] = _identify(rows.column(customer), customer), _outcomes(rows.column(label), label)
    guessed = (_guess(name, values, customer, label) for name, values in typed.items())
    kinds = tuple(_protect(each) if each.name in protected else each for each in guessed)
    names = {customer: "customer_id", label: "churned"}
    named = {names.get(name, name): values for name, values in typed.items()}
    flat = FlatTable(pa.table(named), kinds)
    if not flat.features:
        raise DatasetError(f"the table has no attribute to learn from next to {customer!r} and {label!r}. Add columns.")
    return flat


def score_flat_table(flat: FlatTable, config: TrainConfig) -> FlatScores:
    """Train on the customers whose outcome is known and score all, with reasons.

    Folds are drawn by chance, stratified by the outcome, since there is no time. Raises a `LeakError` where a column
    gives the outcome away or rows repeat each other, and a `DatasetError` where the table cannot be learned from.
    """
    require_learnable(flat, config)
    training = train(flat.rows, Columns("churned", features=flat.features), config)
    model = training.fitted.model
    probability, is_out_of_fold = model.predict(flat.rows), np.zeros(flat.rows.num_rows, dtype=bool)
    validation = training.fitted.validation
    known = validation.column("row").to_numpy()
    probability[known], is_out_of_fold[known] = validation.column("probability").to_numpy(), True
    return FlatScores(
        training=training,
        scores=_list_scores(flat.rows, probability, is_out_of_fold),
        reasons=_list_reasons(model, flat.rows, np.flatnonzero(probability > training.fitted.base_rate)),
    )


def require_learnable(flat: FlatTable, config: TrainConfig) -> None:
    """Raise what `score_flat_table` would raise about the table, without training.

    A `LeakError` where a column gives the outcome away or rows repeat each other, a `DatasetError` where too few
    customers left or stayed.
    """
    counts = Counter(flat.rows.column("churned").to_pylist())
    churned, stayed = counts[True], counts[False]
    if min(churned, stayed) < config.minimum_of_each:
        raise DatasetError(
            f"{churned:,} customers are known to have left and {stayed:,} to have stayed, and a model needs "
            f"{config.minimum_of_each} of each. A table without time has no other way to a score: add customers whose "
            "outcome is known, or connect orders or contracts with their dates, which give scores from the first day."
        )
    require_no_leaks(flat.rows, Columns("churned", features=flat.features, customer="customer_id"), config)


def _list_scores(rows: pa.Table, probability: Floats, is_out_of_fold: np.ndarray) -> pa.Table:
    score = 100 * probability
    outcome = rows.column("churned").combine_chunks()
    return pa.table(
        [rows.column("customer_id").combine_chunks(), probability, score, outcome, is_out_of_fold], schema=SCORES
    ).sort_by([("probability", "descending"), ("customer_id", "ascending")])


def _list_reasons(model: Model, rows: pa.Table, at_risk: Rows) -> pa.Table:
    """Return up to `REASONS_EACH` facts for each of the rows `at_risk`, whose attributes raise the risk the most."""
    evidence = weigh_model(model, rows.take(pa.array(at_risk)), exact=len(at_risk) <= EXACT)
    attributes = [describe_attribute(rows, name, label="churned") for name in evidence.features]
    customers = rows.column("customer_id")
    found = [
        {
            "customer_id": customers[row].as_py(),
            "rank": rank,
            "feature": attribute.name,
            "value": attribute.show(row),
            "fact": attribute.state(row),
            "contribution": contribution,
        }
        for row, contributions in zip(at_risk, evidence.contributions, strict=True)
        for rank, (attribute, contribution) in enumerate(_choose(attributes, contributions, row), start=1)
    ]
    return pa.Table.from_pylist(found, schema=REASONS)


def _choose(attributes: Sequence[Attribute], contributions: Floats, row: int) -> list[tuple[Attribute, float]]:
    """Return the attributes that raise a customer's risk the most, of those of which a fact says the same."""
    ranked = [(attributes[place], contributions[place]) for place in np.argsort(-contributions, kind="stable")]
    elevated = ((each, value) for each, value in ranked if value > 0 and each.is_elevated(row))
    return list(islice(elevated, REASONS_EACH))


def _protect(column_kind: ColumnKind) -> ColumnKind:
    return replace(column_kind, kind="protected", evidence="no model may read it; the card shows how it is treated")


def _guess(name: str, values: pa.ChunkedArray, customer: str, label: str) -> ColumnKind:
    missing = f", {values.null_count:,} missing" if values.null_count else ""
    if name == customer:
        return ColumnKind(name, "id", f"{len(values):,} customers")
    if name == label:
        churned = pc.sum(values).as_py() or 0
        return ColumnKind(name, "label", f"{churned:,} of {len(values) - values.null_count:,} known left{missing}")
    distinct = pc.count_distinct(values).as_py()
    if distinct <= 1 and not (distinct and values.null_count):
        return ColumnKind(name, "constant", f"{distinct} value{missing}")
    if pa.types.is_temporal(values.type):
        return ColumnKind(name, "date", f"{_NO_ATTRIBUTE}{missing}")
    if is_text(values.type):
        return _guess_text(name, values, distinct, missing)
    return _guess_number(name, values, distinct, missing)


def _guess_text(name: str, values: pa.ChunkedArray, distinct: int, missing: str) -> ColumnKind:
    if pc.all(pc.match_substring_regex(values, _DATE)).as_py():
        return ColumnKind(name, "date", f"{_NO_ATTRIBUTE}{missing}")
    if distinct > max(FEWEST_DISTINCT, DISTINCT_SHARE * (len(values) - values.null_count)):
        return ColumnKind(name, "identifier", f"{distinct:,} different texts name rows, not categories{missing}")
    return ColumnKind(name, "text", f"{distinct:,} categories{missing}")


def _guess_number(name: str, values: pa.ChunkedArray, distinct: int, missing: str) -> ColumnKind:
    known = numbers(name, values)
    low, high = np.nanmin(known), np.nanmax(known)
    if distinct == len(values) > 1 and high - low == distinct - 1 and (known == np.floor(known)).all():
        return ColumnKind(name, "row number", f"counts the rows from {low:g} to {high:g}")
    return ColumnKind(name, "number", f"{low:g} to {high:g}, {distinct:,} different{missing}")


def _parse(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as numbers or days where every known value is one, blanks as missing; all else as it is."""
    if not is_text(values.type):
        return values
    text = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    for kind in (pa.float64(), pa.date32(), pa.timestamp("us")):
        try:
            return pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
    return text


def _identify(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return the customers' ids as text; each must be there, once."""
    ids = pc.cast(values, pa.string())
    if ids.null_count:
        row = pc.index(pc.is_null(ids), value=True).as_py()
        raise DatasetError(
            f"column {name!r} has no id in row {row + 1}. Give every customer one, or leave the row out."
        )
    counts = pc.value_counts(ids.combine_chunks())
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0].as_py()
        raise DatasetError(
            f"column {name!r} names {len(repeated):,} customers more than once, such as {first['values']!r} in "
            f"{first['counts']} rows. A flat table has one row per customer: keep the latest row of each."
        )
    return ids


def _outcomes(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return the label as booleans; words such as yes and no are read."""
    if pa.types.is_boolean(values.type):
        return values
    words = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(values, pa.string()))).to_pylist()
    odd = [word for word in words if word and word not in OUTCOMES]
    if odd:
        raise DatasetError(
            f"label {name!r} holds {odd[0]!r}; write who left and who stayed as yes and no, true and false, 1 and 0, "
            "or churned and stayed, and leave it empty where it is not known."
        )
    return pa.chunked_array([pa.array([OUTCOMES[word] if word else None for word in words], pa.bool_())])
