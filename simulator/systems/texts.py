"""What customers write: every sentence of the lexicon with its slots filled and every closing remark behind it."""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from simulator.parameters import Parameters
from simulator.parameters.schema import Lexicon
from simulator.streams import Flags, Indices, Integers

LANGUAGES = ("zh", "en")
_NUMBERS = (2, 3, 5, 8, 12, 20, 26, 40)


def _filled(sentences: Sequence[str], lexicon: Lexicon, language: str) -> list[str]:
    combinations = itertools.product(sentences, lexicon.items[language], _NUMBERS, lexicon.tails[language])
    gap = "" if language == "zh" else " "
    return [f"{sentence.format(item=item, n=n)}{gap}{tail}" for sentence, item, n, tail in combinations]


class Phrasebook:
    """Pools of finished texts: `pools` of tickets per topic, the last of questions, and language."""

    def __init__(self, parameters: Parameters) -> None:
        """Fill every sentence of the industry's lexicon."""
        lexicon = parameters.lexicon
        topics = [*(lexicon.complaints[topic] for topic in parameters.service.topics), lexicon.questions]
        self.pools = [[_filled(topic[language], lexicon, language) for language in LANGUAGES] for topic in topics]
        self._opinions = [
            [list(words[language]) for language in LANGUAGES] for words in (lexicon.blame, lexicon.praise)
        ]

    def tickets(self, topic: Indices, *, complaint: Flags, english: Flags, draw: Integers) -> pa.Array:
        """Return the text of each ticket; what is no complaint is a question."""
        kind = np.where(complaint, topic, len(self.pools) - 1)
        return _drawn(self.pools, kind, english, draw)

    def opinions(self, *, pleased: Flags, english: Flags, draw: Integers) -> pa.Array:
        """Return a remark for each survey answer."""
        return _drawn(self._opinions, pleased.astype(np.int32), english, draw)


def _drawn(pools: list[list[list[str]]], kind: Indices, english: Flags, draw: Integers) -> pa.Array:
    flat = [pool for languages in pools for pool in languages]
    sizes = np.array([len(pool) for pool in flat])
    starts = np.cumsum(sizes) - sizes
    which = kind * len(LANGUAGES) + english
    return pa.array([text for pool in flat for text in pool]).take(pa.array(starts[which] + draw % sizes[which]))
