"""The declared facts: what they read exists, and no sentence says the opposite of its reason."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from company.facts import WORDS, Fact, Facts, FactsError, Wording, load_facts, read_facts, read_names
from company.industries import load_industry, names
from company.taxonomy import REASONS
from dbt_project.library import load_library
from ml.explaining.facts import Figure, find_holding, write_sentences

DECLARED = load_facts()
FACTS = DECLARED.fill(load_industry("retail").words).facts
FEATURES = {feature.name for feature in load_library().features}
EVERY = pytest.mark.parametrize("fact", FACTS, ids=[fact.name for fact in FACTS])
ROWS = 20_000
NUMBER = r"([\d,.]*\d)"
LESS_THAN = (  # the second figure of these is smaller than the first, or the sentence argues against its reason
    rf"down from {NUMBER}%? to {NUMBER}",
    rf"no order for {NUMBER} days?, usually one every {NUMBER}",
    rf"no order for {NUMBER} days?, longer than ever before \(at most {NUMBER}",
    rf"before: {NUMBER}% off in the last month, {NUMBER}%",
)
MORE_THAN = (
    rf"{NUMBER} orders in a month, {NUMBER} in the same month last year",
    rf"on {NUMBER} days of the last 30, on {NUMBER}",
    rf"on {NUMBER} days of the last month, before on {NUMBER}",
    rf"in {NUMBER} of the last 4 weeks, in {NUMBER}",
    rf"from {NUMBER} of the {NUMBER} usual categories",
)
NOTHING = (
    r"\+\d|-\d|^0 |\b0% (?:smaller|more|less)|\b0 (?:complaints|failed|times|messages|carts|contracts|orders in three)"
)
ONE_OF_MANY = r"\b1 (?:days|orders|times|complaints|carts|contracts|messages|hours|ratings)\b|\b(?:in|for|open) 0 days"


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    """Rows of figures at random, most of them small and many zero, as features are; tickets share their days."""
    draw = np.random.default_rng(0)
    frame = {name: _draw(name, draw) for name in sorted(set().union(*(fact.columns for fact in FACTS)))}
    frame["count_weeks_active_4"] = draw.integers(0, 5, ROWS).astype(float)
    frame["count_weeks_active_13"] = frame["count_weeks_active_4"] + draw.integers(0, 10, ROWS)
    for name in ("days_since_price_ticket", "days_since_product_ticket", "days_since_rival_ticket"):
        frame[name] = np.where(draw.random(ROWS) < 0.3, frame["days_since_complaint"], frame[name])
    frame["days_oldest_open_ticket"] = np.where(
        draw.random(ROWS) < 0.5, frame["days_since_complaint"], frame["days_oldest_open_ticket"]
    )
    return pd.DataFrame(frame)


def _draw(name: str, draw: np.random.Generator) -> np.ndarray:
    if name.startswith(("is_", "has_")):
        return draw.integers(0, 2, ROWS).astype(float)
    if name.startswith("change_"):
        return draw.uniform(-1, 1, ROWS)
    if name.startswith("shortfall_"):
        return draw.normal(0, 2, ROWS)
    if name.startswith(("share_", "ratio_", "fall_", "rise_")):
        return np.where(draw.random(ROWS) < 0.1, 0.0, draw.random(ROWS))
    if name.startswith("mean_") and name.endswith(("satisfaction_90d", "rating_90d")):
        return draw.uniform(1, 5, ROWS)
    least = 1 if name.startswith(("days_since", "recency", "tenure", "median", "longest")) else 0
    return np.floor(draw.gamma(0.8, 30, ROWS)) + least


@EVERY
def test_a_fact_reads_features_that_exist(fact: Fact) -> None:
    assert (fact.columns | fact.supporting) - FEATURES == set()


def test_every_reason_but_other_has_a_fact() -> None:
    assert {fact.reason for fact in FACTS} == set(REASONS) - {"other"}


@pytest.mark.parametrize("industry", names())
def test_an_industry_s_words_fill_every_sentence(industry: str) -> None:
    for fact in DECLARED.fill(load_industry(industry).words).facts:
        assert not re.search(rf"{{(?:{'|'.join(WORDS)})}}", fact.en + fact.zh)


@EVERY
def test_a_sentence_has_the_punctuation_of_its_language(fact: Fact) -> None:
    chinese, english = re.sub(r"{[^}]*}", "", fact.zh), re.sub(r"{[^}]*}", "#", fact.en)
    assert re.findall(r"[,;:()!? ]|[A-Za-z]{2,}", chinese) == []
    assert re.findall(r"[^\x20-\x7e]|  ", english) == []
    assert not english.endswith(".")


@EVERY
def test_what_is_not_known_is_no_fact(fact: Fact, figures: pd.DataFrame) -> None:
    read = sorted(read_names(fact.when))
    unknown = figures[find_holding(fact, figures)].head(len(read)).reset_index(drop=True)
    for row, name in enumerate(read[: len(unknown)]):
        unknown.loc[row, name] = np.nan
    assert len(unknown)
    assert not find_holding(fact, unknown).any()


@EVERY
def test_no_sentence_contradicts_its_reason(fact: Fact, figures: pd.DataFrame) -> None:
    held = figures[find_holding(fact, figures)].head(200).reset_index(drop=True)
    english, chinese = write_sentences(fact, held, np.arange(len(held)))
    assert english
    for en, zh in zip(english, chinese, strict=True):
        assert "nan" not in en + zh
        assert not re.search(NOTHING, en), en
        assert not re.search(ONE_OF_MANY, en), en
        assert all(first > second for first, second in _pairs(LESS_THAN, en)), en
        assert all(first < second for first, second in _pairs(MORE_THAN, en)), en
        said = set(re.findall(NUMBER, zh)) - {"0", "1", "2", "5", "30", "3", "4", "9"}
        assert said <= set(re.findall(NUMBER, en)), (en, zh)


def _pairs(patterns: tuple[str, ...], text: str) -> list[tuple[float, float]]:
    matched = [pair for pattern in patterns for pair in re.findall(pattern, text)]
    return [(float(first.replace(",", "")), float(second.replace(",", ""))) for first, second in matched]


def test_a_complaint_with_a_topic_is_told_once_under_its_cause(figures: pd.DataFrame) -> None:
    holds = {fact.name: find_holding(fact, figures) for fact in FACTS}
    assert (
        holds["complained_about_price"] & (figures["days_since_complaint"] == figures["days_since_price_ticket"])
    ).any()
    assert not (holds["complained"] & holds["complained_about_price"]).any()
    assert not (holds["complaint_open"] & holds["price_complaint_open"]).any()
    assert not (holds["complaint_open"] & holds["product_complaint_open"]).any()


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (1234.4, "", "1,234"),
        (0.256, "%", "26%"),
        (2.0, ".1", "2"),
        (2.46, ".1", "2.5"),
        (1.0, "1=# day|# days", "1 day"),
        (9.0, "1=day|# days", "9 days"),
        (1.0, "1=day|# days", "day"),
        (0.0, "0=none|1=one|#", "none"),
        (2.0, "1=once|2=twice|# times", "twice"),
        (1234.0, "1=once|# times", "1,234 times"),
    ],
)
def test_a_figure_is_written_as_a_person_would(value: float, form: str, shown: str) -> None:
    assert format(Figure(value), form) == shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"when": "__import__('os')"}, "facts.silent.when: `__import__('os')` holds Call"),
        ({"when": "recency_days >="}, "facts.silent.when: `recency_days >=` is no expression"),
        ({"reason": "boredom"}, "facts.silent.reason: Input should be 'inactivity'"),
        ({"zh": "{longest_gap_days}天"}, "facts.silent: the Chinese sentence has a figure that the English one lacks"),
        ({"whence": "x"}, "facts.silent.whence"),
        ({"en": ""}, "facts.silent.en"),
    ],
)
def test_a_wrong_fact_is_refused_with_its_name_and_key(change: dict[str, str], said: str) -> None:
    fact = {"reason": "inactivity", "when": "recency_days >= 45", "en": "silent for {recency_days}", "zh": "沉默"}
    content = {"facts": {"silent": fact | change}, "no_single_cause": {"en": "no cause", "zh": "无"}}
    with pytest.raises(FactsError, match=re.escape(said)):
        read_facts(content, path=Path("facts.yaml"))


def test_words_of_an_industry_stand_in_the_sentence() -> None:
    fact = DECLARED.facts[0].fill({word: Wording(en=f"{word}!", zh="买") for word in WORDS})
    assert isinstance(DECLARED, Facts)
    assert fact.en.startswith("no order! for")
