"""Reading texts: language, sentiment, topic and reason, and that nothing of the text is left in what is found."""

from pathlib import Path

import numpy as np
import pytest

from company.taxonomy import REASONS
from company.yaml_file import load_yaml
from ml.text.lexicon import FILE, detect_language, load_lexicon
from ml.text.reading import SCHEMA, TextReader
from ml.text.sentiment import LABELLED, NGRAMS, SENTIMENTS, Labelled, SentimentModel, load_base_model, load_labelled

HELD_BACK = Path(__file__).parents[2] / "bench" / "texts" / "held_back.yaml"
LATE = "My order is 5 hours late and nobody answers, Zanzibar."


def reading(text: str) -> dict[str, object]:
    row: dict[str, object] = TextReader().read([text]).to_pylist()[0]
    return row


@pytest.mark.parametrize(
    ("text", "language"), [("快递还没到", "zh"), ("APP 打不开", "zh"), ("It works", "en"), ("", "en"), ("12 ☎", "en")]
)
def test_a_text_with_a_fifth_of_chinese_characters_is_chinese(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        (LATE, ("delivery", "late", "service")),
        ("快递三天了还没送到 太慢了。", ("delivery", "late", "service")),
        ("You overcharged me twice, unacceptable.", ("price", "overcharged", "price")),
        ("软件天天闪退 报错一大堆。", ("product", "fault", "product")),
    ],
)
def test_a_negative_text_has_a_topic_in_two_levels_and_a_reason(text: str, topic: tuple[str, str, str]) -> None:
    row = reading(text)
    assert (row["sentiment"], (row["domain"], row["symptom"], row["reason"])) == ("negative", topic)


def test_a_question_is_neutral_and_gives_no_reason_to_leave() -> None:
    row = reading("How do I change the delivery address?")
    assert [row[name] for name in ("sentiment", "domain", "symptom", "reason", "keywords")] == [
        "neutral", "delivery", None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["整个小区断网2个小时了。麻烦回电。", "Online banking was down for 5 hours. Please call me."]
)
def test_a_stated_trouble_is_no_question_however_politely_it_is_put(text: str) -> None:
    assert reading(text)["sentiment"] == "negative"


def test_a_keyword_that_is_part_of_another_one_is_left_out() -> None:
    assert reading("太慢了 没人管")["keywords"] == "太慢了,没人管"


@pytest.mark.parametrize("pair", [("很好用", "不好用"), ("The app is good", "The app is not good")])
def test_a_negation_turns_praise_around(pair: tuple[str, str]) -> None:
    praised, denied = (load_lexicon().find(text) for text in pair)
    assert (praised.positive, praised.negative, denied.positive, denied.negative) == (1, 0, 0, 1)


def test_keywords_are_terms_of_the_lexicon_and_no_other_word_is_kept() -> None:
    document = load_yaml(FILE)
    terms = {" ".join(term.replace("*", "").replace("..", " ").split()) for term in _strings(document)}
    rows = TextReader().read([LATE, *load_labelled(HELD_BACK).texts])
    kept = {word for words in rows["keywords"].to_pylist() if words for word in words.split(",")}
    assert (kept - terms, len(kept) > 30, rows.schema) == (set(), True, SCHEMA)
    assert "zanzibar" not in str(rows.to_pylist()[0]).lower()


def test_every_reason_of_the_lexicon_is_one_of_the_taxonomy_and_no_term_holds_a_comma() -> None:
    document = load_yaml(FILE)
    reasons = {symptom["reason"] for symptoms in document["topics"].values() for symptom in symptoms.values()}
    assert reasons - {*REASONS} == set()
    assert [term for term in _strings(document) if "," in term] == []


def test_no_sentence_that_measures_is_one_that_teaches() -> None:
    assert set(load_labelled(HELD_BACK).texts) & set(load_labelled().texts) == set()
    assert np.bincount(load_labelled(HELD_BACK).sentiments).tolist() == [68, 66, 66]


def test_a_model_reads_back_as_it_was_written() -> None:
    model = load_base_model()
    copy = SentimentModel.from_bytes(model.to_bytes())
    assert (copy.fingerprint, copy.encoder) == (model.fingerprint, NGRAMS)
    assert TextReader(copy).read([LATE]).equals(TextReader().read([LATE]))


def test_what_is_learned_holds_no_word_of_what_it_was_learned_from() -> None:
    learned = load_labelled() + Labelled(texts=("zanzibar quokka",) * 3, sentiments=np.array([0, 0, 0]))
    content = SentimentModel.fit(learned, encoder=NGRAMS).to_bytes()
    assert [word for word in (b"zanz", b"quok") if word in content.lower()] == []


def test_what_a_company_rates_badly_becomes_negative() -> None:
    own = ("the gizmo flooped again", "gizmo flooping all day", "it floops and floops")
    model = SentimentModel.fit(load_labelled() + Labelled(texts=own * 3, sentiments=np.zeros(9, int)), encoder=NGRAMS)
    reader, text = TextReader(model), "a gizmo that floops"
    assert (reading(text)["sentiment"], reader.read([text])["sentiment"].to_pylist()) == ("neutral", ["negative"])
    assert reader.version == TextReader().version
    assert reader.name != TextReader().name


def test_the_base_model_knows_what_it_learned() -> None:
    labelled = load_labelled()
    found = TextReader().read(labelled.texts)["sentiment"].to_pylist()
    right = np.mean([SENTIMENTS[place] == name for place, name in zip(labelled.sentiments, found, strict=True)])
    assert (right > 0.9, LABELLED.name) == (True, "labelled.yaml")


def _strings(document: object) -> list[str]:
    if isinstance(document, dict):
        return [text for each in document.values() for text in _strings(each)]
    if isinstance(document, list):
        return [text for each in document for text in _strings(each)]
    return [str(document)]


def test_texts_unlike_those_learned_from_are_of_another_domain() -> None:
    like = ["The parcel came late and nobody answers.", "快递晚到了、客服也没人回复。"]
    unlike = [
        "Pursuant to clause 14(b), the lessee shall indemnify.",
        "患者术后出现房颤、予胺碘酮静脉泵入。",
        "12 34 56",
    ]
    rows = TextReader().read([*like, *unlike]).to_pylist()
    assert [row["is_other_domain"] for row in rows] == [False, False, True, True, True]
    assert min(row["familiarity"] for row in rows[:2]) > max(row["familiarity"] for row in rows[3:])
