"""Learning from the texts that a company's customers rated, and choosing what reads its later ones best."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.text.sentiment import (
    NGRAMS,
    SENTIMENTS,
    VECTORS,
    Labelled,
    SentimentModel,
    load_base_model,
    load_labelled,
    look_up,
)

LEAST_TEXTS = 200
HELD_BACK = 0.25  # the latest share, on which candidates are compared
BASE = "base"
_NEUTRAL_RATING = 3.0


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was found: the balanced accuracy of every candidate on the texts held back, and the best one.

    `model` is None where our own labelled texts alone do as well, or where too few texts are rated.
    """

    chosen: str
    accuracies: dict[str, float]
    count_texts: int
    model: SentimentModel | None = None


def label(texts: tuple[str, ...], ratings: npt.NDArray[np.float64]) -> Labelled:
    """Return texts with the sentiment of their ratings of 1 to 5: up to 2 negative, from 4 on positive."""
    return Labelled(texts=texts, sentiments=1 + np.sign(np.rint(ratings) - _NEUTRAL_RATING).astype(np.int64))


def learn(rated: Labelled, *, with_vectors: bool = False) -> Learned:
    """Choose between our labelled texts alone and the `rated` ones, the oldest first, with them.

    Of candidates that do equally well the first is taken: base, n-grams, vectors. What is chosen learns from all rated
    texts in the end.
    """
    count = len(rated.texts)
    if count < LEAST_TEXTS or len(np.unique(rated.sentiments)) < 2:  # noqa: PLR2004 - one sentiment alone teaches nothing
        return Learned(chosen=BASE, accuracies={}, count_texts=count)
    cut = round((1 - HELD_BACK) * count)
    earlier, later = rated.take(np.arange(cut)), rated.take(np.arange(cut, count))
    models = {BASE: load_base_model()} | {
        encoder: SentimentModel.fit(load_labelled() + earlier, encoder=encoder)
        for encoder in (NGRAMS, *([VECTORS] if with_vectors else []))
    }
    accuracies = {name: measure(model, later) for name, model in models.items()}
    chosen = max(accuracies, key=lambda name: accuracies[name])
    model = None if chosen == BASE else SentimentModel.fit(load_labelled() + rated, encoder=chosen)
    return Learned(chosen=chosen, accuracies=accuracies, count_texts=count, model=model)


def measure(model: SentimentModel, labelled: Labelled) -> float:
    """Return the mean, over the sentiments that occur, of the share of their texts that is recognised."""
    found = model.predict(labelled.texts, look_up(labelled.texts)).argmax(axis=1)
    known = [labelled.sentiments == place for place in range(len(SENTIMENTS))]
    return float(np.mean([(found[each] == labelled.sentiments[each]).mean() for each in known if each.any()]))
