"""Finding many values in many bytes at once: by a digest of their last characters, then by comparison."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WINDOW = 8  # bytes of a value's end that are compared at once
_BITS = 20  # of the digest; a table of one byte each
_FACTOR = 0x9E3779B97F4A7C15  # Knuth's multiplicative hashing: 2^64 divided by the golden ratio


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

    def find(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Yield where a value begins in `data`, and which one."""
        for width, endings in self._endings.items():
            for end in self._candidates(data, width, endings):
                for written in endings[data[end - width : end]]:
                    begin = end - len(written)
                    if begin >= 0 and data[begin:end] == written:
                        yield begin, self._written[written]

    def count(self, data: bytes) -> Counter[str]:
        """Return how often each value stands in `data`."""
        return Counter(value for _, value in self.find(data))

    def replace(self, text: str, *, by: str, names: Mapping[str, str] | None = None) -> str:
        """Return `text` with `by`, or its new name, in the place of every value, the longest first."""
        found = {value for _, value in self.find(text.encode(errors="surrogatepass"))}
        for written, value in sorted(self._written.items(), key=lambda each: -len(each[0])):
            if value in found:
                text = text.replace(written.decode(), (names or {}).get(value, by))
        return text

    def _candidates(self, data: bytes, width: int, endings: dict[bytes, list[bytes]]) -> "list[int]":
        """Return the places in `data` at which `width` bytes end that end a value."""
        import numpy as np

        if len(data) < width:
            return []
        words = _words(np.frombuffer(data, dtype=np.uint8), width)
        wanted = _words(np.frombuffer(b"".join(endings), dtype=np.uint8), width)[::width]
        is_wanted = np.zeros(1 << _BITS, dtype=bool)
        is_wanted[_digest(wanted)] = True
        likely = np.flatnonzero(is_wanted[_digest(words)])
        sure = likely[np.isin(words[likely], wanted)]
        return [int(place) + width for place in sure]

    @cached_property
    def _written(self) -> dict[bytes, str]:
        return {written: value for value in self.values for written in _spellings(value)}

    @cached_property
    def _endings(self) -> dict[int, dict[bytes, list[bytes]]]:
        """The values as they are written, by the width of the window and the bytes that stand in it."""
        found: dict[int, dict[bytes, list[bytes]]] = {}
        for written in self._written:
            width = min(len(written), _WINDOW)
            found.setdefault(width, {}).setdefault(written[-width:], []).append(written)
        return found


def _spellings(value: str) -> Iterable[bytes]:
    return {value.encode(), json.dumps(value)[1:-1].encode(), json.dumps(value, ensure_ascii=False)[1:-1].encode()}


def _words(data: "NDArray[np.uint8]", width: int) -> "NDArray[np.uint64]":
    """Return the number that each `width` bytes in a row make."""
    import numpy as np

    length = len(data) - width + 1
    words = np.zeros(length, dtype=np.uint64)
    for place in range(width):
        words |= data[place : place + length].astype(np.uint64) << np.uint64(8 * place)
    return words


def _digest(words: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    import numpy as np

    with np.errstate(over="ignore"):
        return (words * np.uint64(_FACTOR)) >> np.uint64(64 - _BITS)
