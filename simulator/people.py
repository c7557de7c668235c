"""What the simulated people would not want told, and a search for it in whatever somebody wrote."""

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

_PERSONAL = {
    "crm.account": ("full_nm", "email_addr", "mobile_no", "addr_line"),
    "users": ("full_name", "email", "phone"),
}
_LEAST_LETTERS = 2  # a name cut down to one character stands in many words
_SHORT, _LONG = 4, 8


def read_words(folder: Path) -> frozenset[str]:
    """Return every name, number and address of the simulated people, as written and as digits alone."""
    words: set[str] = set()
    for name, columns in _PERSONAL.items():
        [path] = (folder / "sources").glob(f"*/{name}.parquet")
        table = pq.read_table(path, columns=list(columns))
        words |= {word.lower() for column in table.columns for word in column.to_pylist() if word}
    digits = {
        "".join(filter(str.isdigit, word)) for word in words if word.replace("+86 ", "").replace("-", "").isdigit()
    }
    return frozenset(word for word in words | digits if len(word) >= _LEAST_LETTERS)


def find_words(words: Collection[str], content: bytes) -> list[str]:
    """Return which of the words stand in the content, in whatever case, as UTF-8 or as JSON escapes them.

    A word is looked for only where its first bytes were seen, because there are thousands.
    """
    content = content.lower()
    forms = {form: word for word in words for form in (word.encode(), json.dumps(word)[1:-1].encode())}
    seen = _heads_seen(forms, content, _SHORT) | _heads_seen(forms, content, _LONG)
    return sorted({word for form, word in forms.items() if _head(form) in seen and form in content})


def _head(form: bytes) -> bytes:
    return form[: _LONG if len(form) >= _LONG else _SHORT]


def _heads_seen(forms: Collection[bytes], content: bytes, width: int) -> set[bytes]:
    """Return the first `width` bytes of those forms whose first bytes stand anywhere in the content."""
    heads = np.unique(np.frombuffer(b"".join(form[:width] for form in forms if len(form) >= width), f"<u{width}"))
    seen: set[bytes] = set()
    for offset in range(min(width, len(content) - width + 1)):
        windows = np.frombuffer(content, f"<u{width}", (len(content) - offset) // width, offset)
        places = np.searchsorted(heads, windows).clip(max=len(heads) - 1)
        seen |= {int(hit).to_bytes(width, "little") for hit in np.unique(windows[heads[places] == windows])}
    return seen
