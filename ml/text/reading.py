"""Reading: texts in, a table of sentiments and topics out, without any word of theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
import pyarrow as pa

from ml.text.lexicon import FILE, LANGUAGES, Findings
from ml.text.sentiment import (
    LABELLED,
    NEGATIVE,
    NGRAMS,
    SENTIMENTS,
    VECTORS,
    SentimentModel,
    encode,
    load_base_model,
    look_up,
    open_engine,
)

SCHEMA = pa.schema(
    [
        ("language", pa.string()),
        ("sentiment", pa.string()),
        ("confidence", pa.float64()),
        ("domain", pa.string()),
        ("symptom", pa.string()),
        ("reason", pa.string()),
        ("is_urgent", pa.bool_()),
        ("keywords", pa.string()),
        ("familiarity", pa.float64()),
        ("is_other_domain", pa.bool_()),
    ]
)


def open_reader(own: SentimentModel | None, *, with_vectors: bool) -> "TextReader":
    """Return the reader by a company's own model, if there is one; raises TextModelError without the extra `text`.

    A model by sentence vectors does not read where the policy has switched them off.
    """
    if with_vectors:
        open_engine()
    usable = own if own and (with_vectors or own.encoder != VECTORS) else None
    return TextReader(usable, VECTORS if with_vectors else NGRAMS)


@dataclass(frozen=True)
class TextReader:
    """Reads texts with the lexicon and a sentiment model: a company's own, or that of our labelled texts."""

    own_model: SentimentModel | None = None
    encoder: str = NGRAMS

    @cached_property
    def version(self) -> str:
        """What every reading changes with: the encoder, our labelled texts, and the lexicon.

        A company's own model is no part of it: it reads what comes from then on.
        """
        return f"{self.encoder}-{sha256(FILE.read_bytes() + LABELLED.read_bytes()).hexdigest()[:12]}"

    @cached_property
    def name(self) -> str:
        """Who reads: the version, and the company's own model by what it learned."""
        if self.own_model is None:
            return self.version
        return f"{self.version}-own-{self.own_model.encoder}-{sha256(self.own_model.to_bytes()).hexdigest()[:12]}"

    def read(self, texts: Sequence[str]) -> pa.Table:
        """Return a row per text, in their order.

        `confidence` is the probability of the sentiment, `familiarity` the share of the text that the model knows; one
        that it knows too little of is of another domain. Both are unknown of a model by vectors. Negative texts have a
        symptom, the reason for leaving that it stands for, and keywords, which are terms of the lexicon with commas
        between; the others have none.
        """
        if not texts:
            return SCHEMA.empty_table()
        findings, model = look_up(texts), self.own_model or load_base_model(self.encoder)
        features = encode(texts, model.encoder)
        chances = model.predict_encoded(features, findings)
        rows = [_describe(each, chance) for each, chance in zip(findings, chances, strict=True)]
        if model.least_familiar:
            least = dict(zip(LANGUAGES, model.least_familiar, strict=True))
            for row, share in zip(rows, model.measure_familiarity(features), strict=True):
                row |= {"familiarity": float(share), "is_other_domain": bool(share < least[str(row["language"])])}
        return pa.Table.from_pylist(rows, schema=SCHEMA)


def _describe(findings: Findings, chances: np.ndarray) -> dict[str, object]:
    place = int(chances.argmax())
    is_negative, topic = SENTIMENTS[place] == NEGATIVE, findings.topic
    return {
        "language": findings.language,
        "sentiment": SENTIMENTS[place],
        "confidence": float(chances[place]),
        "domain": topic.domain if topic else None,
        "symptom": topic.symptom if topic and is_negative else None,
        "reason": topic.reason if topic and is_negative else None,
        "is_urgent": findings.is_urgent,
        "keywords": ",".join(findings.terms) or None if is_negative else None,
    }
