"""The event lane's programs with what reads the words of customers: `python -m orchestration.lane collect ...`."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from serving.lane.__main__ import main

if TYPE_CHECKING:
    from ml.text.reading import TextReader

UNCLEAR = "unclear"


@cache
def open_reader() -> "TextReader":
    """Return the reader by lexicon and n-grams, which needs neither the registry nor the vault.

    It is made with the first text: the other program of the lane reads none.
    """
    from ml.text.reading import TextReader

    return TextReader()


def read_sentiments(texts: Sequence[str]) -> list[str]:
    """Return the sentiment of each text; one of another domain is negative only where the lexicon names the trouble."""
    return [_read_sentiment(reading) for reading in open_reader().read(texts).to_pylist()]


def _read_sentiment(reading: dict[str, object]) -> str:
    is_doubtful = reading["sentiment"] == "negative" and reading["is_other_domain"] and not reading["symptom"]
    return UNCLEAR if is_doubtful else str(reading["sentiment"])


if __name__ == "__main__":
    main(read_texts=read_sentiments)
