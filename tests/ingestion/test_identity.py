"""Who is one customer: what links two ids, what never does, and what a person decides about it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from company.company_file import Company
from ingestion.identity.components import Apart, Link, Record, group
from ingestion.identity.explaining import explain
from ingestion.identity.linking import IdentityError, LinkReport, link
from ingestion.identity.spelling import letters, turned
from ingestion.landing import land
from ingestion.readers import load_company
from ingestion.tokens import normalised
from ingestion.vault import Vault

MASTER = "a master key for tests only"
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
PERSON = ("customer_id", "kind", "name", "email", "phone", "address", "birth_date", "signed_up_at")
OTHER_ID = ("customer_id", "kind", "value", "is_verified", "seen_at")
PEOPLE = [
    (
        "typo-1",
        "person",
        "Ann Leclerc",
        "ann@a.example",
        "+41 79 111 11 11",
        "Gasse 12, Bern",
        "1980-02-03",
        "2020-01-01",
    ),
    ("typo-2", "person", "Ann Leclercq", "a.l@b.example", "", "Gasse 12, Bern", "1980-02-03", "2021-01-01"),
    ("zh-2", "person", "Xiuying Li", "", "", "Weg 5, Basel", "1971-05-06", "2021-01-01"),
    ("zh-1", "person", "李秀英", "", "", "Weg 5 Basel", "1971-05-06", "2019-01-01"),
    ("home-1", "person", "Bo Ray", "bo@a.example", "0041 79 222 22 22", "Platz 1, Chur", "1990-01-01", "2020-01-01"),
    ("home-2", "person", "Bea Ray", "bea@a.example", "079 222 22 22", "Platz 1, Chur", "1992-07-08", "2020-01-01"),
    ("home-3", "person", "Ben Ray", "ben@a.example", "+41792222222", "Platz 1, Chur", "", "2020-01-01"),
    ("twin-1", "person", "Mara Orr", "", "+41 79 333 33 33", "Ring 7, Biel", "1985-09-09", "2020-01-01"),
    ("twin-2", "person", "Jonas Orr", "", "+41 79 333 33 33", "Ring 7, Biel", "1985-09-09", "2020-01-01"),
    ("same-1", "person", "Cy Fox", "cy@a.example", "079 444 44 44", "Allee 3, Genf", "1969-03-03", "2022-01-01"),
    ("same-2", "person", "cy  fox", "cy@b.example", "+41 79 444 44 44", "allee 3, Genf", "1969-03-03", "2020-01-01"),
    ("mail-1", "person", "Di Ito", "di@a.example", "", "Hof 1, Sion", "1975-01-01", "2020-01-01"),
    ("mail-2", "person", "D. Ito-Frei", "di.old@a.example", "", "Ufer 9, Thun", "1975-01-01", "2021-01-01"),
    ("till-1", "person", "Eve Abt", "", "", "Markt 2, Olten", "1988-08-08", "2020-01-01"),
    ("till-2", "person", "Max Eng", "", "", "Markt 4, Olten", "1979-07-07", "2020-01-01"),
    ("firm-1", "company", "Ray Foods", "", "079 222 22 22", "Platz 1, Chur", "", "2020-01-01"),
]
IDS = [
    ("mail-1", "email", "DI@a.example", "true", ""),
    ("mail-2", "email", "di@a.example ", "true", ""),
    ("till-1", "card", "900", "true", ""),
    ("till-2", "card", "900", "true", ""),
    ("desk-1", "email", "Ann@A.example", "false", ""),
    ("desk-2", "phone", "+41 79 222 22 22", "false", ""),
    ("visit-1", "device", "d-7", "false", ""),
    ("till-1", "device", "d-7", "false", ""),
    ("twin-1", "device", "d-9", "false", ""),
    ("home-1", "device", "d-9", "false", ""),
]
KINDS = [("a", "person"), ("b", None), ("c", "company")]
GROUPS = {
    "typo-2": "typo-1",
    "desk-1": "typo-1",
    "zh-2": "zh-1",
    "same-1": "same-2",
    "mail-2": "mail-1",
    "visit-1": "till-1",
}


@dataclass(frozen=True)
class Town:
    """People and their other ids, landed in a warehouse in memory, with a vault unless told otherwise."""

    warehouse: duckdb.DuckDBPyConnection
    company: Company
    secrets: dict[str, str]

    def link(self, *apart: Apart, batch: str = "b1", at: datetime = AT) -> LinkReport:
        return link(self.warehouse, self.company, secrets=self.secrets, batch=batch, decided_at=at, apart=apart)

    def members(self, source: str = "crm") -> dict[str, str]:
        query = "select customer_id, canonical_id from identity.members where source = ? order by 1"
        return dict(self.warehouse.execute(query, [source]).fetchall())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.warehouse.execute(query).fetchall()

    @property
    def vault(self) -> Vault:
        return Vault.from_secrets(self.secrets)


def found(
    folder: Path,
    *,
    people: Sequence[tuple[str, ...]] = PEOPLE,
    ids: Sequence[tuple[str, ...]] = IDS,
    sources: Sequence[str] = ("crm", "desk"),
    has_vault: bool = True,
) -> Town:
    """Return a town whose people stand in the first of `sources` and whose other ids in the last."""
    folder.mkdir()
    for name, columns, rows in (("people", PERSON, people), ("ids", OTHER_ID, ids)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
    document = {
        "company": "Town",
        "industry": "retail",
        "timezone": "Europe/Zurich",
        "currency": "CHF",
        "history_starts": "2024-01-01",
        "churn": {"definition": "inactivity"},
        "sources": {
            source: {"reader": "files", "files": {"people": "people.csv", "ids": "ids.csv"}} for source in sources
        },
        "tables": {
            "customers": {"source": "crm", "from": "people", "columns": {name: name for name in PERSON}},
            "identities": {"source": "desk", "from": "ids", "columns": {name: name for name in OTHER_ID}},
            "orders": {
                "source": "crm",
                "from": "people",
                "columns": {"order_id": "customer_id", "customer_id": "customer_id", "ordered_at": "signed_up_at"},
            },
        },
    }
    (folder / "company.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    secrets = {"HOLDFAST_TOKEN_KEY": "a key for tests only, 0123456789"}
    if has_vault:
        secrets |= {"HOLDFAST_VAULT_URL": f"sqlite:///{folder / 'vault.db'}", "HOLDFAST_MASTER_KEY": MASTER}
    town = Town(duckdb.connect(), load_company(folder / "company.yaml"), secrets)
    for table in ("customers", "identities"):
        land(town.warehouse, town.company, table, secrets=secrets, batch="b0", landed_at=AT)
    return town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The town after its first linking; tests only read it."""
    made = found(tmp_path_factory.mktemp("identity") / "town")
    made.link()
    return made


def test_accounts_of_one_customer_are_found_and_neighbours_are_left_alone(town: Town) -> None:
    assert town.members() == GROUPS
    assert town.members("desk") == GROUPS


def test_every_link_keeps_its_evidence_and_what_became_of_it(town: Town) -> None:
    query = "select left_id, right_id, rule, state, reason from identity.links order by all"
    assert town.rows(query) == [
        ("desk-1", "typo-1", "sole_owner", "linked", None),
        ("mail-1", "mail-2", "proof", "linked", None),
        ("same-1", "same-2", "profile", "linked", None),
        ("till-1", "till-2", "proof", "cut", "birth dates of the group differ"),
        ("till-1", "visit-1", "sole_owner", "linked", None),
        ("typo-1", "typo-2", "likeness", "linked", None),
        ("zh-1", "zh-2", "likeness", "linked", None),
    ]
    [(source, evidence, probability, batch, at)] = town.rows(
        "select left_source, evidence, probability, batch, decided_at from identity.links where left_id = 'mail-1'"
    )
    assert (source, evidence) == ("crm", "both proved to own the same e-mail address (crm, desk)")
    assert (probability, batch, at) == (0.999, "b1", AT.replace(tzinfo=None))


def test_who_was_compared_and_found_different_can_be_told(town: Town) -> None:
    twins = explain(town.warehouse, "twin-2")
    assert (twins.canonical_id, twins.members) == ("twin-2", ("twin-2",))
    [told] = twins.evidence
    assert (told.left_id, told.state, told.probability < 0.9) == ("twin-1", "apart", True)
    assert "another name (-4.2), same birth date (+8.3), same address and another contact (+3.3)" in told.evidence


def test_an_explanation_names_the_whole_group_and_all_its_links(town: Town) -> None:
    told = explain(town.warehouse, "desk-1")
    assert (told.canonical_id, told.members) == ("typo-1", ("typo-1", "desk-1", "typo-2"))
    assert [(one.rule, one.state) for one in told.evidence] == [("sole_owner", "linked"), ("likeness", "linked")]


def test_only_records_that_tokens_leave_open_are_asked_for_in_clear(town: Town) -> None:
    asked = {(asking["customer_id"], asking["column_name"], asking["asker"]) for asking in town.vault.askings()}
    open_ones = ("typo-1", "typo-2", "zh-1", "zh-2", "twin-1", "twin-2", "home-1", "home-2", "home-3")
    assert asked == {(one, column, "identity") for one in open_ones for column in ("name", "address")}


def test_nothing_clear_is_written_to_the_warehouse(town: Town) -> None:
    tables = town.rows("select schema_name || '.' || table_name from duckdb_tables() order by 1")
    kept = " ".join(str(town.rows(f"from {table}")) for (table,) in tables).lower()
    words = [word for row in PEOPLE for text in row[2:6] for word in text.lower().split() if len(word) > 3]
    assert [word for word in [*words, "1980-02-03", "792222222"] if word in kept] == []


def test_the_order_of_rows_and_of_sources_does_not_matter(tmp_path: Path, town: Town) -> None:
    turned_round = found(tmp_path / "town", people=PEOPLE[::-1], ids=IDS[::-1], sources=("desk", "crm"))
    turned_round.link()
    query = "select * exclude (decided_at) from identity.{} order by all"
    for table in ("links", "members", "comparisons"):
        assert turned_round.rows(query.format(table)) == town.rows(query.format(table))


def test_without_a_vault_tokens_decide_and_what_they_leave_open_is_counted(tmp_path: Path) -> None:
    poor = found(tmp_path / "town", has_vault=False)
    report = poor.link()
    assert poor.members() == {one: other for one, other in GROUPS.items() if not one.startswith(("typo", "zh"))}
    assert (report.is_vault_used, report.pairs_compared, report.pairs_undecided) == (False, 0, 5)


def test_what_a_person_took_apart_stays_apart_until_it_is_taken_back_and_every_move_is_noted(tmp_path: Path) -> None:
    small = found(tmp_path / "town", people=PEOPLE[:2], ids=[("desk-1", "email", "ann@a.example", "false", "")])
    assert small.link().changed == 2
    report = small.link(Apart(customer_id="typo-2", other_id="typo-1"), batch="b2")
    assert (small.members(), report.links_unmerged, report.changed) == ({"desk-1": "typo-1"}, 1, 1)
    assert small.rows("select state, reason from identity.links where rule = 'likeness'") == [
        ("unmerged", "a person keeps them apart")
    ]
    small.link(Apart(customer_id="typo-1"), batch="b3")
    assert small.members() == {}
    assert small.link(batch="b4").changed == 2
    assert small.rows("select customer_id, canonical_before, canonical_after, batch from identity.changes") == [
        ("desk-1", "desk-1", "typo-1", "b1"),
        ("typo-2", "typo-2", "typo-1", "b1"),
        ("typo-2", "typo-1", "typo-2", "b2"),
        ("desk-1", "typo-1", "desk-1", "b3"),
        ("desk-1", "desk-1", "typo-1", "b4"),
        ("typo-2", "typo-2", "typo-1", "b4"),
    ]


def test_a_run_without_news_decides_nothing_and_a_standing_decision_keeps_its_batch(tmp_path: Path) -> None:
    small = found(tmp_path / "town", people=PEOPLE[:2], ids=[])
    first = small.link()
    assert small.link(batch="b2") == replace(first, skipped=True, changed=0)
    land(small.warehouse, small.company, "customers", secrets=small.secrets, batch="b3", landed_at=AT)
    asked = len(small.vault.askings())
    small.link(Apart(customer_id="nobody"), batch="b3")
    assert small.rows("select distinct batch from identity.links union from (select batch from identity.members)") == [
        ("b1",)
    ]
    assert len(small.vault.askings()) == asked


def test_whoever_was_erased_from_the_vault_is_compared_no_more(tmp_path: Path) -> None:
    small = found(tmp_path / "town", people=PEOPLE[:2], ids=[])
    small.vault.destroy("crm", ["typo-2"], at=AT)
    assert (small.link().pairs_undecided, small.members()) == (1, {})


def test_a_vault_that_cannot_be_opened_is_told_with_its_mend(tmp_path: Path) -> None:
    small = found(tmp_path / "town", people=PEOPLE[:2], ids=[])
    small.secrets["HOLDFAST_MASTER_KEY"] = "another master key"
    with pytest.raises(IdentityError, match=r"another master key than `HOLDFAST_MASTER_KEY`.*Check HOLDFAST_VAULT_URL"):
        small.link()


def test_the_weakest_link_of_a_contradictory_chain_is_cut() -> None:
    records = [
        Record(customer_id="a", rank=(0, "2020", "a"), birth_date="x"),
        Record(customer_id="b", rank=(0, "2019", "b")),
        Record(customer_id="c", rank=(0, "2018", "c"), birth_date="y"),
    ]
    strong = Link(left_id="a", right_id="b", rule="proof", evidence="", probability=0.99)
    weak = Link(left_id="b", right_id="c", rule="likeness", evidence="", probability=0.95)
    verdicts, canonical = group(records, [weak, strong], apart=[])
    assert [(one.link, one.state, one.reason) for one in verdicts] == [
        (strong, "linked", None),
        (weak, "cut", "birth dates of the group differ"),
    ]
    assert canonical == {"a": "b", "b": "b"}


def test_a_company_and_a_person_are_never_one_customer() -> None:
    records = [Record(customer_id=name, rank=(0, "2020", name), kind=kind) for name, kind in KINDS]
    links = [Link(left_id=a, right_id=b, rule="proof", evidence="", probability=0.9) for a, b in ("ab", "bc")]
    verdicts, canonical = group(records, links, apart=[])
    assert [(one.state, one.reason) for one in verdicts] == [
        ("linked", None),
        ("cut", "one is a company, another a person"),
    ]
    assert canonical == {"a": "a", "b": "a"}


def test_a_record_without_a_profile_does_not_join_two_customers() -> None:
    records = [Record(customer_id=name, rank=(0, "2020", name)) for name in ("a", "b")]
    records.append(Record(customer_id="desk", rank=(9, "~", "desk"), is_profiled=False))
    links = [
        Link(left_id="a", right_id="desk", rule="sole_owner", evidence="e-mail", probability=0.97),
        Link(left_id="b", right_id="desk", rule="sole_owner", evidence="device", probability=0.97),
    ]
    verdicts, canonical = group(records, links, apart=[])
    assert ([one.state for one in verdicts], canonical) == (["linked", "cut"], {"a": "a", "desk": "a"})


def test_a_name_is_the_same_in_either_script_and_order() -> None:
    assert (letters("李秀英"), turned("Xiuying  LI")) == ("lixiuying", "lixiuying")
    assert (letters("Müller-Łoś"), letters(" "), turned(None)) == ("mullerlos", None, None)


def test_a_telephone_number_has_one_form_however_it_was_written() -> None:
    written = ["+41 79 123 45 67", "0041 (0)79 123 45 67", "079/123.45.67", "+86 138-0000-1111", "13800001111", "n/a"]
    form = normalised("phone", "n")
    found = duckdb.connect().execute(f"select {form} from (select unnest($n) as n)", {"n": written}).fetchall()
    assert [row[0] for row in found] == [*["791234567"] * 3, *["13800001111"] * 2, None]
