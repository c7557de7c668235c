from html.parser import HTMLParser

import pyarrow as pa

from ml.card import write_card
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
    facts = {"data fingerprint": "f<1>", "decision": "first champion"}
    found.feed(write_card(fitted, facts=facts, importance=fitted.model.importance(table)).decode())
    return found


def test_the_card_shows_facts_every_candidate_four_plots_and_the_features(fitted: Fitted, table: pa.Table) -> None:
    found = page(fitted, table)

    assert found.tags.count("figure") == 4
    wanted = {"f<1>", "first champion", "majority accuracy", *fitted.evaluations, *fitted.model.features}
    assert wanted <= set(found.text)


def test_the_card_asks_nothing_of_the_network_and_names_no_customer(fitted: Fitted, table: pa.Table) -> None:
    found = page(fitted, table)

    assert found.links == []
    assert not set(table.column("customer_id").to_pylist()) & set(found.text)


def test_the_same_training_gives_the_same_card(fitted: Fitted) -> None:
    first, second = (write_card(fitted, facts={}, importance={"a": 1.0}) for _ in range(2))

    assert first == second
