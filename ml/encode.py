"""From a feature table to one numeric matrix; missing values and unseen categories are normal input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import DatasetError, Floats, column

RARE = 10  # a level seen fewer times is no category, and might name a single customer
MANY = 100  # levels kept per column, the most frequent first


@dataclass(frozen=True)
class Encoding:
    """How one feature is read: a number, or the 0/1 columns of its `levels`."""

    name: str
    levels: tuple[str, ...] | None

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return 1 if self.levels is None else len(self.levels)


@dataclass(frozen=True)
class Encoder:
    """Reads the features of a table, in a fixed order, into a float32 matrix; missing is NaN.

    A category seen too rarely in training, never seen, or missing is zero in every level's column.
    """

    encodings: tuple[Encoding, ...]

    @classmethod
    def learn(cls, table: pa.Table, features: Sequence[str]) -> Self:
        """Take types and frequent levels from the training table."""
        if not features:
            raise DatasetError("no feature column is left to learn from. Name at least one feature.")
        return cls(tuple(Encoding(name, _levels(name, column(table, name))) for name in features))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""
        return tuple(encoding.name for encoding in self.encodings)

    @property
    def owners(self) -> npt.NDArray[np.intp]:
        """For each matrix column the position of its feature."""
        return np.repeat(np.arange(len(self.encodings)), [encoding.width for encoding in self.encodings])

    @property
    def is_level(self) -> npt.NDArray[np.bool_]:
        """For each matrix column whether it is the 0/1 column of a category."""
        return np.repeat(
            [encoding.levels is not None for encoding in self.encodings],
            [encoding.width for encoding in self.encodings],
        )

    def encode(self, table: pa.Table) -> npt.NDArray[np.float32]:
        """Return the matrix (rows of `table` x columns of all encodings)."""
        matrix = np.empty((table.num_rows, len(self.owners)), dtype=np.float32)
        start = 0
        for encoding in self.encodings:
            _write(matrix[:, start : start + encoding.width], encoding, column(table, encoding.name))
            start += encoding.width
        return matrix

    def state(self) -> list[dict[str, Any]]:
        """Return a form that JSON can hold."""
        return [{"name": encoding.name, "levels": encoding.levels} for encoding in self.encodings]

    @classmethod
    def restore(cls, state: list[dict[str, Any]]) -> Self:
        """Rebuild from `state`."""
        return cls(
            tuple(Encoding(each["name"], None if each["levels"] is None else tuple(each["levels"])) for each in state)
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
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
    if not _is_text(values.type):
        numbers(name, values)
        return None
    counts = pc.value_counts(_as_text(values).drop_null()).to_pylist()
    frequent = [each for each in counts if each["counts"] >= RARE]
    frequent.sort(key=lambda each: (-each["counts"], each["values"]))
    return tuple(sorted(each["values"] for each in frequent[:MANY]))


def _write(block: npt.NDArray[np.float32], encoding: Encoding, values: pa.ChunkedArray) -> None:
    if encoding.levels is None:
        block[:, 0] = numbers(encoding.name, values)
        return
    if not (_is_text(values.type) or pa.types.is_null(values.type)):
        raise DatasetError(
            f"feature {encoding.name!r} was text when the model was trained and is {values.type} now. "
            "Cast it to text, or train again."
        )
    block[:] = 0
    if encoding.levels:
        found = pc.index_in(_as_text(values), value_set=pa.array(encoding.levels, pa.string()))
        codes = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(codes >= 0)
        block[known, codes[known]] = 1
