"""The same name or address however it was written: in Latin letters, without case, accents, spaces and signs."""

import re
import unicodedata

_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_NUMBERS = re.compile(r"\d+")


def letters(text: str | None) -> str | None:
    """Return the Latin letters and digits of `text`; None when there are none."""
    return "".join(_words(text)) or None


def turned(text: str | None) -> str | None:
    """Return the letters of `text` with its last word first, as a family name may stand on either side."""
    words = _words(text)
    return "".join([*words[-1:], *words[:-1]]) or None


def numbers(text: str | None) -> str | None:
    """Return the numbers of `text` in their order; an address is another one as soon as one of them is."""
    return " ".join(_NUMBERS.findall(unicodedata.normalize("NFKC", text or "")))


def _words(text: str | None) -> list[str]:
    from text_unidecode import unidecode  # type: ignore[import-untyped]

    plain = unidecode(unicodedata.normalize("NFKC", text or "")).lower()
    return [word for word in _NOT_LETTERS.split(plain) if word]
