"""Learning to read from rated texts: it is chosen by later texts, kept in the registry, and read back as it was."""

from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from ml.registry import CHAMPION, RegistryError, TextModels, create_database
from ml.text.reading import TextReader, open_reader
from ml.text.sentiment import NGRAMS, VECTORS, Labelled, SentimentModel, load_base_model
from ml.text.training import BASE, LEAST_TEXTS, label, learn

# What a trade calls good and bad, in words that teach nothing elsewhere.
WORDS = ("flooped", "wibbled", "gromped")


@pytest.fixture
def models(tmp_path: Path) -> TextModels:
    database, artifacts = tmp_path / "mlflow.db", (tmp_path / "artifacts").as_uri()
    create_database(database, artifacts=artifacts)
    return TextModels(f"sqlite:///{database}", artifacts=artifacts)


def rated(count: int) -> Labelled:
    places = np.arange(count) % 3
    texts = tuple(f"part {number} {WORDS[place]}" for number, place in enumerate(places))
    return label(texts, np.array(1 + 2 * places, dtype=np.float64))


def test_up_to_two_stars_are_negative_and_from_four_on_positive() -> None:
    assert label(("a", "b", "c", "d", "e"), np.arange(1.0, 6)).sentiments.tolist() == [0, 0, 1, 2, 2]


def test_what_the_company_rated_is_learned_where_it_reads_later_texts_better() -> None:
    learned = learn(rated(240))
    assert (learned.chosen, learned.count_texts, learned.accuracies[NGRAMS] > 0.95) == (NGRAMS, 240, True)
    assert learned.accuracies[BASE] < 0.7
    assert TextReader(learned.model).read(["it gromped"])["sentiment"].to_pylist() == ["positive"]


def test_ratings_that_have_nothing_to_do_with_the_text_teach_nothing() -> None:
    rng = np.random.default_rng(3)
    texts = tuple(rng.choice(["very good, thank you", "terrible, never again"], 240))
    noise = Labelled(texts=texts, sentiments=rng.integers(0, 3, 240))
    fitting = label(texts, np.array([5.0 if "good" in text else 1.0 for text in texts]))
    assert learn(noise.take(np.arange(180)) + fitting.take(np.arange(180, 240))).chosen == BASE


@pytest.mark.parametrize("few", [rated(LEAST_TEXTS - 1), label(("fine",) * 300, np.full(300, 5.0))])
def test_too_few_ratings_or_one_kind_alone_leave_the_base_model(few: Labelled) -> None:
    learned = learn(few)
    assert (learned.chosen, learned.model, learned.accuracies) == (BASE, None, {})


def test_the_registry_gives_back_what_was_added_last_and_the_same_model_is_one_version(models: TextModels) -> None:
    first, second = load_base_model(), SentimentModel.fit(rated(30), encoder=NGRAMS)
    assert models.reading() is None
    added = [models.add(each, as_of="2025-01-01", figures={BASE: 0.5}, name=BASE) for each in (first, second, second)]
    found = models.reading()
    assert found is not None
    assert (added, found.fingerprint, models.aliases()) == (["1", "2", "2"], second.fingerprint, {CHAMPION: "2"})
    models.retire()
    assert models.reading() is None


def test_a_version_that_waits_for_a_review_reads_once_it_is_approved(models: TextModels) -> None:
    version = models.add(load_base_model(), as_of="2025-01-01", figures={}, name="base", review=True)
    assert (models.reading(), models.settle()) == (None, None)
    client = MlflowClient(tracking_uri=models.tracking_uri, registry_uri=models.tracking_uri)
    client.set_model_version_tag("texts", version, "review_state", "Approved")
    assert (models.settle(), models.settle()) == (version, None)
    assert models.reading() is not None


def test_a_version_whose_file_was_changed_is_refused(models: TextModels) -> None:
    models.add(load_base_model(), as_of="2025-01-01", figures={}, name=BASE)
    assert models.artifacts is not None
    file = next(Path(models.artifacts.removeprefix("file://")).rglob("texts.npz"))
    file.write_bytes(SentimentModel.fit(rated(30), encoder=NGRAMS).to_bytes())
    with pytest.raises(RegistryError, match="does not have the content"):
        models.reading()


def test_a_model_by_vectors_does_not_read_where_the_policy_switched_them_off() -> None:
    base = load_base_model()
    by_vectors = SentimentModel(VECTORS, base.weights, base.intercepts)
    assert open_reader(by_vectors, with_vectors=False) == TextReader()
    assert open_reader(base, with_vectors=False) == TextReader(base)
