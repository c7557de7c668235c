"""The lexicon: which terms stand in a text, and what they speak of. Works offline, in Chinese and English."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from company.yaml_file import load_yaml

FILE = Path(__file__).with_name("lexicon.yaml")
CHINESE, ENGLISH = LANGUAGES = ("zh", "en")
NEGATIVE, POSITIVE, NEGATORS, QUESTIONS, URGENT = "negative", "positive", "negators", "questions", "urgent"
_CHINESE_CHARACTER = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_GAPS = {CHINESE: r".{0,8}?", ENGLISH: r"(?:\s+\S+){0,4}?\s+"}
_REACH = {CHINESE: 3, ENGLISH: 16}  # characters before a word of praise or blame in which a negation turns it around
_BAD, _ABOUT = 2, 1  # weights of a term that states the trouble, and of one that only names what is spoken of


@dataclass(frozen=True, kw_only=True)
class Topic:
    """What a text is about, in two levels, and the reason for leaving that it stands for."""

    domain: str
    symptom: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the lexicon finds in one text: counts of words by kind, the topic, and the terms of it and of blame."""

    language: str
    negative: int
    positive: int
    troubles: int
    is_question: bool
    is_urgent: bool
    topic: Topic | None
    terms: tuple[str, ...]


def detect_language(text: str) -> str:
    """Return zh where at least a fifth of the letters are Chinese characters, else en."""
    letters = len(_LETTER.findall(text))
    return CHINESE if letters and 5 * len(_CHINESE_CHARACTER.findall(text)) >= letters else ENGLISH


class Vocabulary:
    """Terms of one language as one expression, so that a text is scanned once however many terms there are."""

    def __init__(self, terms: Sequence[str], language: str) -> None:
        """Compile the terms, the longest first."""
        self._terms = sorted(set(terms), key=lambda term: (-len(term), term))
        pieces = [f"({_as_pattern(term, language)})" for term in self._terms]
        self._pattern = re.compile("|".join(pieces)) if pieces else None

    def find(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield the terms in a text in lower case, and where each begins; none lies within another."""
        for match in self._pattern.finditer(text) if self._pattern else ():
            yield self._terms[(match.lastindex or 1) - 1], match.start()


def _as_pattern(term: str, language: str) -> str:
    gap = " .. " if language == ENGLISH else ".."
    parts = [re.escape(part).replace(r"\*", r"\w*") for part in term.split(gap)]
    pattern = _GAPS[language].join(parts)
    if language == CHINESE or not term[0].isalnum():
        return pattern
    return rf"\b{pattern}" + (r"\b" if term[-1].isalnum() else "")


class Lexicon:
    """The terms of the file, ready to be looked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Compile a document of topics and polarity."""
        self._topics: dict[str, dict[str, tuple[Topic, int]]] = {language: {} for language in LANGUAGES}
        for topic, terms in _list_topics(document):
            for language in LANGUAGES:
                for kind, weight in (("about", _ABOUT), ("bad", _BAD)):
                    for term in terms[language][kind]:
                        self._topics[language].setdefault(term, (topic, weight))
        self._order = {topic: place for place, (topic, _) in enumerate(_list_topics(document))}
        self._of_topic = {language: Vocabulary(list(self._topics[language]), language) for language in LANGUAGES}
        self._of_kind = {
            (language, kind): Vocabulary(terms, language)
            for language in LANGUAGES
            for kind, terms in document["polarity"][language].items()
        }

    def find(self, text: str) -> Findings:
        """Return what stands in a text."""
        language, plain = detect_language(text), text.lower().replace("\u2019", "'")
        spoken = [term for term, _ in self._of_topic[language].find(plain)]
        negative = list(self._of_kind[language, NEGATIVE].find(plain))
        positive = list(self._of_kind[language, POSITIVE].find(plain))
        negations = [place for _, place in self._of_kind[language, NEGATORS].find(plain)]
        turned = sum(_is_turned(place, negations, language) for _, place in positive)
        denied = sum(_is_turned(place, negations, language) for _, place in negative)
        blamed = [term for term in spoken if self._topics[language][term][1] == _BAD]
        return Findings(
            language=language,
            negative=len(negative) - denied + turned,
            positive=len(positive) - turned + denied,
            troubles=len(blamed),
            is_question=self._holds(plain, language, QUESTIONS),
            is_urgent=self._holds(plain, language, URGENT),
            topic=self._choose(spoken, language),
            terms=_show([*blamed, *(term for term, _ in negative)]),
        )

    def _holds(self, text: str, language: str, kind: str) -> bool:
        return next(self._of_kind[language, kind].find(text), None) is not None

    def _choose(self, spoken: Sequence[str], language: str) -> Topic | None:
        weights: dict[Topic, int] = {}
        for term in spoken:
            topic, weight = self._topics[language][term]
            weights[topic] = weights.get(topic, 0) + weight
        return max(weights, key=lambda topic: (weights[topic], -self._order[topic]), default=None)


def _is_turned(place: int, negations: Sequence[int], language: str) -> bool:
    return any(0 < place - negation <= _REACH[language] for negation in negations)


def _show(terms: Sequence[str]) -> tuple[str, ...]:
    """Return terms as people read them, without those that are part of another one."""
    plain = {" ".join(term.replace("*", "").replace("..", " ").split()) for term in terms}
    return tuple(sorted(each for each in plain if not any(each != other and each in other for other in plain)))


def _list_topics(document: Mapping[str, Any]) -> list[tuple[Topic, Mapping[str, Any]]]:
    return [
        (Topic(domain=domain, symptom=symptom, reason=body["reason"]), body)
        for domain, symptoms in document["topics"].items()
        for symptom, body in symptoms.items()
    ]


@cache
def load_lexicon() -> Lexicon:
    """Return the lexicon of the file."""
    return Lexicon(load_yaml(FILE))
