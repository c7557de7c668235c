"""Finding many values in many bytes at once: by a digest of their last characters, then by comparison."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, filterfalse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WINDOW = 8  # bytes of a value's end that are compared at once, as one number
_BITS = 20  # of the digest; a table of one byte each
_FACTOR = 0x9E3779B97F4A7C15  # Knuth's multiplicative hashing: 2^64 divided by the golden ratio
_BLOCK = 1 << 16  # bytes that are compared at once; what is computed of them stays in the processor's cache


@dataclass(frozen=True, kw_only=True)
class _Endings:
    """The last `width` bytes of values, and the values by them."""

    width: int
    values: dict[bytes, list[bytes]]

    def find(self, data: bytes) -> list[int]:
        """Return the places in `data` behind one of the endings."""
        import numpy as np

        padded, places = data + bytes(_WINDOW - self.width), max(len(data) - self.width + 1, 0)
        likely = [start + self._find_likely(padded, start, places) for start in range(0, places, _BLOCK)]
        ends = np.concatenate(likely) + self.width if likely else np.array([], dtype=int)
        return [end for end in ends.tolist() if data[end - self.width : end] in self.values]

    def _find_likely(self, padded: bytes, start: int, places: int) -> "NDArray[np.int64]":
        import numpy as np

        words = self._read(padded, start, min(_BLOCK, places - start))
        return np.flatnonzero(self._is_likely.take(_digest(words)))

    def _read(self, padded: bytes, start: int, count: int) -> "NDArray[np.uint64]":
        """Return the numbers that `width` bytes in a row make, from each of so many places on."""
        import numpy as np

        words = np.ndarray((count,), dtype="<u8", buffer=padded, offset=start, strides=(1,))
        return words << np.uint64(8 * (_WINDOW - self.width))  # what stands behind the width goes

    @cached_property
    def _is_likely(self) -> "NDArray[np.bool_]":
        """Whether an ending has a digest, by the digest."""
        import numpy as np

        table = np.zeros(1 << _BITS, dtype=bool)
        for each in self.values:
            table[_digest(self._read(each.ljust(_WINDOW, b"\0"), 0, 1))] = True
        return table


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """Finds `values` in bytes, as UTF-8 and as JSON writes them."""

    values: tuple[str, ...]

    def __repr__(self) -> str:
        """Show nothing of the values."""
        return f"Matcher({len(self.values)} values)"

    @property
    def longest(self) -> int:
        """The length of the longest value in bytes."""
        return max(map(len, self._written), default=0)

    def count(self, data: bytes) -> Counter[str]:
        """Return how often each value stands in `data`."""
        return Counter(self._written[written] for _, written in self._find(data))

    def find_cells(self, data: bytes, offsets: "Sequence[int] | NDArray[np.int32]") -> list[int]:
        """Return which cells hold a value, of cells that lie in `data` one behind the other.

        The n-th cell begins at the n-th of `offsets`, and the last offset is the end of the last cell.
        """
        found = ((begin, begin + len(written)) for begin, written in self._find(data))
        cells = ((bisect_right(offsets, begin) - 1, end) for begin, end in found)
        return sorted({cell for cell, end in cells if end <= offsets[cell + 1]})

    def find_texts(self, texts: Sequence[str]) -> list[int]:
        """Return which of the texts hold a value."""
        cells = [text.encode(errors="surrogatepass") for text in texts]
        return self.find_cells(b"".join(cells), [0, *accumulate(map(len, cells))])

    def replace(self, text: str, *, by: str, names: Mapping[str, str] | None = None) -> str:
        """Return `text` with `by`, or its new name, in the place of every value, the longest first."""
        found = {written for _, written in self._find(text.encode(errors="surrogatepass"))}
        for written in sorted(found, key=lambda each: (-len(each), each)):
            text = text.replace(written.decode(), (names or {}).get(self._written[written], by))
        return text

    def _find(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield where a value begins in `data`, and how it is written there."""
        for endings in self._endings:
            for end in endings.find(data):
                for written in endings.values[data[end - endings.width : end]]:
                    begin = end - len(written)
                    if begin >= 0 and data[begin:end] == written:
                        yield begin, written

    @cached_property
    def _written(self) -> dict[bytes, str]:
        return {written: value for value in self.values for written in _spellings(value)}

    @cached_property
    def _endings(self) -> list[_Endings]:
        """The values as they are written, in at most two groups: as long as the window, and shorter ones."""
        is_short = lambda written: len(written) < _WINDOW  # noqa: E731
        groups = [list(filter(is_short, self._written)), list(filterfalse(is_short, self._written))]
        return [_group(written) for written in groups if written]


def _group(written: Sequence[bytes]) -> _Endings:
    width = min(_WINDOW, *map(len, written))
    values: dict[bytes, list[bytes]] = {}
    for each in written:
        values.setdefault(each[-width:], []).append(each)
    return _Endings(width=width, values=values)


def _spellings(value: str) -> Iterable[bytes]:
    return {value.encode(), json.dumps(value)[1:-1].encode(), json.dumps(value, ensure_ascii=False)[1:-1].encode()}


def _digest(words: "NDArray[np.uint64]") -> "NDArray[np.int64]":
    import numpy as np

    digests = words * np.uint64(_FACTOR)
    digests >>= np.uint64(64 - _BITS)
    return digests.view(np.int64)
