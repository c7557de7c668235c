"""From a feature table to one numeric matrix; missing values and unseen categories are normal input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import DatasetError, Floats, Rows, column

RARE = 10  # a level seen fewer times is no category, and might name a single customer
MANY = 100  # levels kept per column, the most frequent first
WIDE = 12  # levels beyond which a column becomes one number: the churn of its level
ADDITIVE = {"amount", "count", "total"}  # first words of columns that may be added up
FEWEST_PARTS = 3  # columns that make a total
PARTS = 5  # of the training rows, for levels rated by rows other than one's own


@dataclass(frozen=True)
class Encoding:
    """How one feature is read: a number, the 0/1 columns of its `levels`, or one column of their `ratings`.

    Ratings are log-odds of churn per level, with that of all customers in the end, for what is not among the levels.
    """

    name: str
    levels: tuple[str, ...] | None
    ratings: tuple[float, ...] | None = None

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return 1 if self.levels is None or self.ratings is not None else len(self.levels)


@dataclass(frozen=True)
class Encoder:
    """Reads the features of a table, in a fixed order, into a float32 matrix; missing is NaN.

    A category seen too rarely in training, never seen, or missing is zero in every level's column. `totals` are
    further columns behind those of the features: sums of the columns at the given positions, see `find_totals`.
    """

    encodings: tuple[Encoding, ...]
    totals: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def learn(cls, table: pa.Table, features: Sequence[str]) -> Self:
        """Take types and frequent levels from the training table."""
        if not features:
            raise DatasetError("no feature column is left to learn from. Name at least one feature.")
        encodings = tuple(Encoding(name, _levels(name, column(table, name))) for name in features)
        return cls(encodings, _totals(encodings))

    @classmethod
    def learn_and_encode(
        cls, table: pa.Table, features: Sequence[str], label: Floats, *, seed: int = 0
    ) -> tuple[Self, npt.NDArray[np.float32]]:
        """Learn from the training table and its labels; return the encoder and the matrix to train on.

        A text column of more than `WIDE` levels is rated: one number per level, shrunk towards all customers by how
        little levels differ. A training row's own label has no part in its rating: it comes from four fifths of the
        rows without it. Sources: Micci-Barreca, SIGKDD Explorations 2001; Casella, "An introduction to empirical
        Bayes data analysis", 1985.
        """
        plain = cls.learn(table, features)
        encodings = tuple(_rate(each, table, label) for each in plain.encodings)
        found = cls(encodings, _totals(encodings))
        matrix = found.encode(table)
        rated = [(each, place) for each, place in zip(encodings, _starts(encodings), strict=True) if each.ratings]
        if rated:
            for train, rest in _parts(label, seed):
                learned, held_out = table.take(pa.array(train)), table.take(pa.array(rest))
                for each, place in rated:
                    aside = _rate(Encoding(each.name, each.levels), learned, label[train])
                    _write(matrix[:, place : place + 1], aside, column(held_out, each.name), rows=rest)
        return found, matrix

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""
        return tuple(encoding.name for encoding in self.encodings)

    @property
    def columns(self) -> tuple[str, ...]:
        """For each matrix column the name of its feature, empty for a total."""
        return (*(self.features[owner] for owner in self.owners), *("" for _ in self.totals))

    @property
    def owners(self) -> npt.NDArray[np.intp]:
        """For each matrix column that is not a total the position of its feature."""
        return np.repeat(np.arange(len(self.encodings)), [encoding.width for encoding in self.encodings])

    def encode(self, table: pa.Table) -> npt.NDArray[np.float32]:
        """Return the matrix (rows of `table` x columns of all encodings)."""
        matrix = np.empty((table.num_rows, len(self.owners) + len(self.totals)), dtype=np.float32)
        start = 0
        for encoding in self.encodings:
            _write(matrix[:, start : start + encoding.width], encoding, column(table, encoding.name))
            start += encoding.width
        for place, parts in enumerate(self.totals):
            matrix[:, start + place] = matrix[:, parts].sum(axis=1)
        return matrix

    def attribute(self, values: Floats) -> Floats:
        """Add up parts of the log-odds (rows x matrix columns) by feature; a total's part is shared out evenly."""
        found = np.zeros((len(values), len(self.encodings)))
        width = len(self.owners)
        starts = np.flatnonzero(np.diff(self.owners, prepend=-1))
        found[:, self.owners[starts]] = np.add.reduceat(values[:, :width], starts, axis=1)
        for place, parts in enumerate(self.totals):
            found[:, self.owners[list(parts)]] += values[:, [width + place]] / len(parts)
        return found

    def state(self) -> list[dict[str, Any]]:
        """Return a form that JSON can hold; totals follow from the names."""
        rated = ({"ratings": each.ratings} if each.ratings is not None else {} for each in self.encodings)
        return [
            {"name": each.name, "levels": each.levels, **more} for each, more in zip(self.encodings, rated, strict=True)
        ]

    @classmethod
    def restore(cls, state: list[dict[str, Any]]) -> Self:
        """Rebuild from `state`."""
        encodings = tuple(Encoding(each["name"], _tuple(each["levels"]), _tuple(each.get("ratings"))) for each in state)
        return cls(encodings, _totals(encodings))


def find_totals(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return groups of columns whose names show that they are parts of one whole.

    They begin with amount, count or total, agree in all words but one inner word, and none of their words has a digit,
    which would be a window: total_day_charge, total_evening_charge and total_night_charge make one group. Trees cut
    one column at a time and find the sum of several only in many steps.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        words = name.split("_")
        if words[0] in ADDITIVE and not any(letter.isdigit() for letter in name):
            for place in range(1, len(words) - 1):
                groups.setdefault((*words[:place], "*", *words[place + 1 :]), []).append(name)
    return tuple(tuple(parts) for parts in groups.values() if len(parts) >= FEWEST_PARTS)


def _totals(encodings: Sequence[Encoding]) -> tuple[tuple[int, ...], ...]:
    places = {
        each.name: start for each, start in zip(encodings, _starts(encodings), strict=True) if each.levels is None
    }
    return tuple(tuple(places[name] for name in parts) for parts in find_totals(list(places)))


def _starts(encodings: Sequence[Encoding]) -> list[int]:
    """Return each encoding's first matrix column."""
    return [0, *np.cumsum([each.width for each in encodings]).tolist()[:-1]]


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(values, pa.string())


def numbers(name: str, values: pa.ChunkedArray) -> Floats:
    """Return a numeric or boolean column as float64; missing and infinite are NaN."""
    kind = values.type
    if not (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise DatasetError(
            f"feature {name!r} has type {kind}, where a number is expected. Turn it into a number such as days "
            "before as_of, or leave it out of the features."
        )
    found: Floats = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(float)
    return np.where(np.isfinite(found), found, np.nan)


def _levels(name: str, values: pa.ChunkedArray) -> tuple[str, ...] | None:
    if not is_text(values.type):
        numbers(name, values)
        return None
    counts = pc.value_counts(_as_text(values).drop_null()).to_pylist()
    frequent = [each for each in counts if each["counts"] >= RARE]
    frequent.sort(key=lambda each: (-each["counts"], each["values"]))
    return tuple(sorted(each["values"] for each in frequent[:MANY]))


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _rate(encoding: Encoding, table: pa.Table, label: Floats) -> Encoding:
    """Return the encoding with ratings where it has many levels; as it is otherwise."""
    if encoding.levels is None or len(encoding.levels) <= WIDE:
        return encoding
    codes = _codes(encoding, column(table, encoding.name))
    size = np.bincount(codes, minlength=len(encoding.levels) + 1)[:-1].astype(float)
    lost = np.bincount(codes, weights=label, minlength=len(encoding.levels) + 1)[:-1]
    rate = min(max(float(label.mean()), 1e-6), 1 - 1e-6)
    known = size > 0
    within = rate * (1 - rate) / size[known]
    between = float(np.mean((lost[known] / size[known] - rate) ** 2 - within)) if known.any() else 0.0
    prior = rate * (1 - rate) / max(between, 1e-6)  # rows of evidence against a level
    shrunk = np.append((lost + prior * rate) / (size + prior), rate)
    return Encoding(encoding.name, encoding.levels, tuple(np.log(shrunk / (1 - shrunk)).tolist()))


def _parts(label: Floats, seed: int) -> list[tuple[Rows, Rows]]:
    """Return stratified parts of the rows, each with the rows outside it."""
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(PARTS, shuffle=True, random_state=seed).split(label, label))


def _codes(encoding: Encoding, values: pa.ChunkedArray) -> Rows:
    """Return each row's level by number; one past the last for what is not among them."""
    if not (is_text(values.type) or pa.types.is_null(values.type)):
        raise DatasetError(
            f"feature {encoding.name!r} was text when the model was trained and is {values.type} now. "
            "Cast it to text, or train again."
        )
    levels = encoding.levels or ()
    found = pc.index_in(_as_text(values), value_set=pa.array(levels, pa.string()))
    codes: Rows = pc.fill_null(found, len(levels)).to_numpy(zero_copy_only=False).astype(np.intp)
    return codes


def _write(
    block: npt.NDArray[np.float32], encoding: Encoding, values: pa.ChunkedArray, *, rows: Rows | None = None
) -> None:
    """Fill the encoding's columns for all rows, or for `rows`."""
    mine = slice(None) if rows is None else rows
    if encoding.levels is None:
        block[mine, 0] = numbers(encoding.name, values)
        return
    codes = _codes(encoding, values)
    if encoding.ratings is not None:
        block[mine, 0] = np.array(encoding.ratings)[codes]
        return
    block[:] = 0
    known = np.flatnonzero(codes < len(encoding.levels))
    block[known, codes[known]] = 1
