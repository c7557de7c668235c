from html.parser import HTMLParser

import pyarrow as pa

from ml.card import write_card
from ml.drift import describe_reference
from ml.fairness import measure_groups
from ml.train import Fitted


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


def page(fitted: Fitted, table: pa.Table) -> Words:
    found = Words()
    importance = fitted.model.importance(table)
    validated = table.take(fitted.validation.column("row"))
    groups = measure_groups(
        fitted.validation.column("label").to_numpy(),
        fitted.validation.column("probability").to_numpy(),
        {"plan": validated.column("plan").to_pylist(), "age_band": ["young", "old"] * (validated.num_rows // 2)},
        capacity=0.1,
        minimum_rows=30,
    )
    card = write_card(
        fitted,
        facts={"data fingerprint": "f<1>", "decision": "first champion"},
        importance=importance,
        groups=groups,
        protected=["age_band"],
        reference=describe_reference(table, fitted.model.features, importance, importance_share=1.0),
    )
    found.feed(card.decode())
    return found


def test_the_card_shows_facts_every_candidate_five_plots_the_groups_and_what_drift_is_measured_against(
    fitted: Fitted, table: pa.Table
) -> None:
    found = page(fitted, table)

    assert found.tags.count("figure") == 5
    wanted = {"f<1>", "first champion", "majority accuracy", *fitted.evaluations, *fitted.model.features}
    assert wanted | {"Lift", "plan: basic", "age_band: young", "Fairness", "Drift reference", "50 %"} <= set(found.text)
    assert found.text.index("plan: pro") < found.text.index("Fairness") < found.text.index("age_band: old")


def test_the_card_asks_nothing_of_the_network_and_names_no_customer(fitted: Fitted, table: pa.Table) -> None:
    found = page(fitted, table)

    assert found.links == []
    assert not set(table.column("customer_id").to_pylist()) & set(found.text)


def test_the_same_training_gives_the_same_card(fitted: Fitted) -> None:
    first, second = (write_card(fitted, facts={}, importance={"a": 1.0}) for _ in range(2))

    assert first == second
