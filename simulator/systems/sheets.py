"""Text columns built without loops, and files written in parts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.streams import Flags, Integers

_NAIVE = pa.timestamp("ms")


def join(*parts: pa.Array | str) -> pa.Array:
    """Concatenate text columns and constants row by row; null where any part is null."""
    return pc.binary_join_element_wise(*[pa.scalar(part) if isinstance(part, str) else part for part in parts], "")


def named(names: Sequence[str], index: np.ndarray) -> pa.Array:
    """Return `names` at `index`; null where the index is negative."""
    places = np.asarray(index).astype(np.int64)
    return pa.array(list(names), pa.string()).take(pa.array(places, mask=places < 0))


def numbered(prefix: str, numbers: np.ndarray, *, width: int = 0) -> pa.Array:
    """Return codes such as C00000017."""
    digits = pc.cast(pa.array(numbers), pa.string())
    return join(prefix, pc.utf8_lpad(digits, width, "0") if width else digits)


def moments(utc_ms: Integers, *, absent: Flags | None = None) -> pa.Array:
    """Return UTC timestamps from milliseconds; null where `absent`."""
    return pa.array(utc_ms, pa.int64(), mask=absent).cast(pa.timestamp("ms", tz="UTC"))


def written(ms: Integers) -> pa.Array:
    """Return moments as text such as 2025-01-31 08:00:00.000, without a zone."""
    return pa.array(ms, pa.int64()).cast(_NAIVE).cast(pa.string())


def replace_at(column: pa.Array, where: np.ndarray, values: pa.Array) -> pa.Array:
    """Return `column` with `values` (one for each position in `where`) put in."""
    mask = np.zeros(len(column), dtype=np.bool_)
    mask[where] = True
    source = np.full(len(column), -1, dtype=np.int64)
    source[where] = np.arange(len(where))
    return pc.if_else(pa.array(mask), values.take(pa.array(source, mask=source < 0)), column)


class Sheet:
    """A parquet file that grows part by part; nothing is written before the first part."""

    def __init__(self, path: Path) -> None:
        """Remember where to write."""
        self.path = path
        self.count = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Append the rows of `table`, whose columns are the same every time."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="zstd", compression_level=1)
        self._writer.write_table(table)
        self.count += table.num_rows

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
