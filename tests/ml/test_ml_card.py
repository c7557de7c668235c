from html.parser import HTMLParser

import numpy as np
import pyarrow as pa

from ml.evaluate import ProfitTerms, intervals, profit
from ml.explaining.card import Insight, write_card
from ml.explaining.importance import measure_importance
from ml.learners import load_algorithms
from ml.monitoring.drift import describe_reference
from ml.training.fairness import measure_groups
from ml.training.monthly import Training


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links.extend(value or "" for name, value in attrs if name in {"src", "href"})

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(training: Training, table: pa.Table) -> Words:
    found = Words()
    fitted = training.fitted
    label, probability = (fitted.validation.column(name).to_numpy() for name in ("label", "probability"))
    validated = table.take(fitted.validation.column("row"))
    groups = measure_groups(
        label,
        probability,
        {"plan": validated.column("plan").to_pylist(), "age_band": ["young", "old"] * (validated.num_rows // 2)},
        capacity=0.1,
        minimum_rows=30,
    )
    terms = ProfitTerms(contact_cost=4.0, effect=0.1)
    importance = measure_importance(fitted.model, table, "as_of", months=3, rows=100)
    insight = Insight(
        held=intervals(label, probability, draws=50),
        importance=importance,
        terms=terms,
        profit=profit(label, probability, np.linspace(100, 500, len(label)), terms=terms, capacity=0.1),
    )
    card = write_card(
        training,
        insight,
        facts={"data fingerprint": "f<1>", "decision": "first champion"},
        groups=groups,
        protected=["age_band"],
        reference=describe_reference(table, fitted.model.features, importance.shares, importance_share=1.0),
    )
    found.feed(card.decode())
    return found


def test_the_card_shows_facts_candidates_the_groups_and_what_drift_is_measured_against(
    training: Training, table: pa.Table
) -> None:
    found = page(training, table)

    fitted = training.fitted
    wanted = {"f<1>", "first champion", "majority accuracy", *fitted.evaluations, *fitted.model.features}
    assert wanted | {"plan: basic", "age_band: young", "Fairness", "Drift reference", "50 %"} <= set(found.text)
    assert found.text.index("plan: pro") < found.text.index("Fairness") < found.text.index("age_band: old")


def test_the_card_has_every_plot_that_a_reviewer_looks_for(training: Training, table: pa.Table) -> None:
    found = page(training, table)

    plots = {
        "ROC", "Precision and recall", "Reliability", "Gain", "Lift", "Importance", "Segments", "Protected groups",
        "Deciles",
    }  # fmt: skip
    assert (found.tags.count("figcaption"), plots - set(found.text)) == (len(plots), set())


def test_the_card_shows_intervals_expected_profit_and_what_came_of_lead_times_and_groups(
    training: Training, table: pa.Table
) -> None:
    text = " ".join(page(training, table).text)

    assert "lift at capacity" in text
    off = text.split("Off, and not tried: ")[1].split(".")[0].split(", ")
    assert set(off) == set(load_algorithms()) - set(training.fitted.candidates)
    assert "of the customers would have earned" in text
    assert "on average of the contacted" in text
    assert "Lowest rank correlation between two of the months" in text
    assert all(clause in text for clause in (*training.describe_lead_times(), *training.describe_groups()))


def test_the_card_asks_nothing_of_the_network_and_names_no_customer(training: Training, table: pa.Table) -> None:
    found = page(training, table)

    assert found.links == []
    assert not set(table.column("customer_id").to_pylist()) & set(found.text)


def test_the_same_training_gives_the_same_card(training: Training, table: pa.Table) -> None:
    importance = measure_importance(training.fitted.model, table, "as_of", months=1, rows=50)

    first, second = (write_card(training, Insight({}, importance), facts={}) for _ in range(2))

    assert first == second
